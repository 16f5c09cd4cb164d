"""Gateway as a whole: where updates may come from, traces, an ordered stop, and the process itself."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.gateway.app import app, in_background
from services.gateway.settings import GatewaySettings, networks
from shared import ids
from shared.queries import ListPromos, PromoList
from shared.service import Service

TOKEN = "123456:ABC-def_1234567890"
SECRET = "s3cret_Token"
DATA = f"p1.premium.{ids.to_short(ids.derived('delivery', 1))}"
HEADERS = {"X-Telegram-Bot-Api-Secret-Token": SECRET}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_where_updates_may_come_from(
    settings: GatewaySettings, peers: Any, http: aiohttp.ClientSession
) -> None:
    """With an allow-list strangers are 403 also with the secret; a trusted proxy says who the client is."""
    strict = settings.model_copy(
        update={
            "telegram_ip_allowlist": networks("149.154.160.0/20,2001:db8::/32"),
            "trusted_proxies": networks("127.0.0.0/8"),
        }
    )
    url = f"http://{strict.listen}/telegram/default/webhook"
    async with app(strict, Service("gateway")):
        for number, (client, expected) in enumerate(
            (
                ("149.154.160.7", 200), ("2001:db8::7", 200), ("1.2.3.4", 403),
                ("149.154.160.7, 1.2.3.4", 403), ("nonsense", 403), (None, 403),
            )
        ):  # fmt: skip
            headers = HEADERS | ({"X-Forwarded-For": client} if client else {})
            async with http.post(url, json={"update_id": number}, headers=headers) as response:
                assert response.status == expected, client
        # Which bots there are is nobody's business, wherever he comes from.
        for client in ("149.154.160.7", "1.2.3.4"):
            headers = HEADERS | {"X-Forwarded-For": client}
            async with http.post(url.replace("default", "other"), json={}, headers=headers) as response:
                assert response.status == 403, client


async def test_an_address_that_is_shared(
    settings: GatewaySettings, peers: Any, http: aiohttp.ClientSession
) -> None:
    """Two processes listen on one address where both say so: when one stops, the other goes on answering."""
    shared = settings.model_copy(update={"listen_shared": True})
    url = f"http://{shared.listen}/healthz"
    async with app(shared, Service("gateway")):
        async with app(shared, Service("gateway")), http.get(url) as response:
            assert response.status == 200
        async with aiohttp.ClientSession() as another, another.get(url) as response:
            assert response.status == 200


async def test_an_address_that_is_taken(
    settings: GatewaySettings, peers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """When somebody else listens there, the start ends with a line that names LISTEN."""
    host, port = settings.listen.split(":")
    taken = await asyncio.start_server(lambda *_: None, host, int(port))
    with pytest.raises(RuntimeError):
        async with app(settings, Service("gateway")):
            pytest.fail("it started")
    assert f"carillon: LISTEN is '{settings.listen}'" in capsys.readouterr().err
    taken.close()


async def test_what_breaks_in_the_background_stops_the_service() -> None:
    """Work beside the requests is begun again after an outage; a fault in it stops all."""
    service, tries = Service("gateway"), 0

    async def away_then_broken() -> None:
        nonlocal tries
        tries += 1
        raise OSError if tries == 1 else KeyError("a fault")

    async with in_background(service, "work", away_then_broken, again_seconds=0.01):
        async with asyncio.timeout(60):
            while service.exit_code == 0:
                await asyncio.sleep(0.01)
    assert tries == 2


async def test_one_trace_from_the_request_on(gateway: Any) -> None:
    """A request's span continues its caller's trace, is named by the route, and carries no words."""
    exporter = InMemorySpanExporter()
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    parent = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{parent}-00f067aa0ba902b7-01"}
    await gateway.hook(gateway.message(1, "/start very-private-words"), headers=headers)
    await gateway.logged(1)
    await gateway.call("GET", "/promos?secret=very-private-words")

    def mine() -> set[str]:
        spans = exporter.get_finished_spans()
        return {span.name for span in spans if f"{span.context.trace_id:032x}" == parent}

    wanted = {"POST /telegram/{bot}/webhook", "publish update.received", "handle gateway_updates"}
    async with asyncio.timeout(60):
        # A span ends after what it was for can be seen.
        while not wanted <= mine() or not any(name.startswith("command start") for name in mine()):
            await asyncio.sleep(0.01)
        while "GET /api/v1/promos" not in {span.name for span in exporter.get_finished_spans()}:
            await asyncio.sleep(0.01)
    spans = exporter.get_finished_spans()
    exporter.shutdown()
    assert "very-private-words" not in "".join(span.to_json() for span in spans)


async def test_a_stop_finishes_what_runs(
    settings: GatewaySettings, peers: Any, http: aiohttp.ClientSession, keys: dict[int, str]
) -> None:
    """A request that runs when the stop begins gets its answer; a later one is not let in."""
    url = f"http://{settings.listen}/api/v1/promos"
    headers = {"Authorization": f"Bearer {keys[0]}"}

    asked, release = asyncio.Event(), asyncio.Event()

    async def think(_: ListPromos) -> PromoList:
        asked.set()
        await release.wait()
        return PromoList(items=())

    await peers.answer(ListPromos, think)
    running = app(settings, Service("gateway"))
    await running.__aenter__()
    slow = asyncio.create_task(http.get(url, headers=headers))
    await asked.wait()
    stopping = asyncio.create_task(running.__aexit__(None, None, None))
    async with asyncio.timeout(60):
        with suppress(aiohttp.ClientConnectionError):
            while True:
                await (await http.get(f"http://{settings.listen}/healthz")).read()
                await asyncio.sleep(0.01)
    assert not slow.done()
    release.set()
    assert (await slow).status == 200
    await stopping


async def test_the_process(
    settings: GatewaySettings, peers: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """As a process it becomes ready, takes a press, says no secret, and stops cleanly on SIGTERM."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        "NATS_URL": settings.nats_url,
        "GATEWAY_DATABASE_URL": settings.gateway_database_url,
        "LISTEN": settings.listen,
        "TELEGRAM_BOT_TOKEN": TOKEN,
        "TELEGRAM_WEBHOOK_SECRET": SECRET,
        "TELEGRAM_API_URL": settings.telegram_api_url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.gateway",
        env=environment, stderr=asyncio.subprocess.PIPE, cwd=tmp_path,  # away from somebody's .env
    )  # fmt: skip
    assert process.stderr is not None
    try:
        await ready(http, settings.listen)
        press = {
            "update_id": 1,
            "callback_query": {"id": "q", "from": {"id": 5, "first_name": "Ann"}, "data": DATA},
        }
        url = f"http://{settings.listen}/telegram/default/webhook"
        async with http.post(url, json=press, headers=HEADERS) as response:
            assert (response.status, (await response.json())["method"]) == (200, "answerCallbackQuery")
    finally:
        process.send_signal(signal.SIGTERM)
    log = (await asyncio.wait_for(process.stderr.read(), 60)).decode()
    assert await process.wait() == 0
    assert "service_stopped" in log
    assert "no_owner" in log
    assert TOKEN not in log
    assert SECRET not in log


async def ready(http: aiohttp.ClientSession, listen: str) -> None:
    """Wait until the gateway says that it is ready."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with http.get(f"http://{listen}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)
