"""The service runner, as processes: ordered start and stop, operators' doors, one line for a fault."""

import asyncio
import json
import os
import signal
import sys
import textwrap
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from devstack.servers import free_port

PRELUDE = """
import asyncio, contextlib, sys, time
from shared.imports import uncollected
with uncollected():
    from shared import service as runner
    from shared.service import run
    from shared.settings import Settings

def say(what):
    print(what, flush=True)
"""

PLAIN = """
@contextlib.asynccontextmanager
async def app(settings, service):
    say("opened")
    try:
        yield
    finally:
        say("closed")
"""


class Running:
    """A service in a process of its own."""

    def __init__(self, process: Process, address: str) -> None:
        self.process = process
        self.address = address

    async def said(self, what: str) -> None:
        """Wait until the service says something on standard output."""
        assert self.process.stdout is not None
        async with asyncio.timeout(120):
            while line := await self.process.stdout.readline():
                if line.decode().strip() == what:
                    return
        raise AssertionError(f"the service ended without saying {what}")

    async def ended(self) -> tuple[int, list[str], list[str]]:
        """Wait for the end; return the exit code, the rest of standard output, and the lines of the log."""
        async with asyncio.timeout(120):
            out, err = await self.process.communicate()
        return self.process.returncode or 0, out.decode().split(), err.decode().splitlines()

    async def ask(self, path: str) -> tuple[int, str]:
        """Ask one of the operators' doors, as soon as it is open."""
        async with asyncio.timeout(120), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://{self.address}{path}") as answer:
                        return answer.status, await answer.text()
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.02)

    async def answers(self, path: str, status: int) -> dict[str, Any]:
        """Ask until a door answers with a status; return its body."""
        async with asyncio.timeout(120):
            while True:
                found, body = await self.ask(path)
                if found == status:
                    parsed: dict[str, Any] = json.loads(body)
                    return parsed
                await asyncio.sleep(0.02)


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """A function that starts a service from the text of its app."""
    started: list[Process] = []

    async def begin(app: str, *, ending: str = 'run("shop", Settings, app)', **environment: str) -> Running:
        address = environment.setdefault("LISTEN", f"127.0.0.1:{free_port()}")
        process = await create_subprocess_exec(
            sys.executable,
            "-c",
            f"{PRELUDE}\n{textwrap.dedent(app)}\n{textwrap.dedent(ending)}",
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | environment,
            cwd=tmp_path,
            stdout=PIPE,
            stderr=PIPE,
        )
        started.append(process)
        return Running(process, address)

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def events(lines: list[str]) -> list[str]:
    """Return the events of a log; a line that is not JSON stands as it is."""
    return [json.loads(line)["event"] if line.startswith("{") else line for line in lines]


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_in_order(start: Start, which: signal.Signals) -> None:
    """The app's context is left, and the process ends with 0: it was asked to."""
    service = await start(PLAIN)
    await service.said("opened")

    service.process.send_signal(which)

    code, out, log = await service.ended()
    assert (code, out) == (0, ["closed"])
    assert events(log) == ["service_ready", "service_stops", "service_stopped"]


async def test_a_second_signal_ends_at_once(start: Start) -> None:
    """Whoever presses Ctrl-C twice does not want to wait."""
    service = await start("""
        @contextlib.asynccontextmanager
        async def app(settings, service):
            say("opened")
            yield
            say("closing")
            await asyncio.sleep(60)
    """)
    await service.said("opened")
    service.process.send_signal(signal.SIGTERM)
    await service.said("closing")

    service.process.send_signal(signal.SIGTERM)

    code, _, _ = await service.ended()
    assert code == 130


async def test_a_slow_stop_is_cut_short(start: Start) -> None:
    """Whoever supervises the process kills it after a while; it ends before that, by itself, and says so."""
    service = await start(
        """
        @contextlib.asynccontextmanager
        async def app(settings, service):
            say("opened")
            yield
            try:
                await asyncio.sleep(60)
            finally:
                say("cut")
        """,
        ending='runner.STOP_SECONDS = 0.2\nrun("shop", Settings, app)',
    )
    await service.said("opened")
    service.process.send_signal(signal.SIGTERM)

    code, out, log = await service.ended()
    assert (code, out) == (1, ["cut"])
    assert "stop_took_too_long" in events(log)


async def test_a_stop_that_cannot_be_cut_short_ends_too(start: Start) -> None:
    """Neither a context that swallows its cancellation nor a thread that hangs keeps the process."""
    service = await start(
        """
        @contextlib.asynccontextmanager
        async def app(settings, service):
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
            say("opened")
            yield
        """,
        ending='runner.STOP_SECONDS, runner.LAST_SECONDS = 0.2, 0.2\nrun("shop", Settings, app)',
    )
    await service.said("opened")
    service.process.send_signal(signal.SIGTERM)

    code, _, log = await service.ended()
    assert code == 1
    assert "stop_never_ended" in events(log)


async def test_the_app_can_stop_itself(start: Start) -> None:
    """A service that finds out that it cannot go on stops in order, with a code that says so."""
    service = await start("""
        @contextlib.asynccontextmanager
        async def app(settings, service):
            asyncio.get_running_loop().call_later(0.1, lambda: service.stop("broker_closed", code=3))
            yield
            say("closed")
    """)

    code, out, log = await service.ended()
    assert (code, out) == (3, ["closed"])
    assert '"reason": "broker_closed"' in "".join(log)


@pytest.mark.parametrize(
    "away",
    [
        "ConnectionRefusedError()",
        "__import__('shared.bus').bus.BusUnavailable('no broker')",
    ],
)
async def test_a_service_waits_for_what_it_needs(start: Start, away: str) -> None:
    """Started before its broker or database, it says so, waits, and is ready later."""
    service = await start(
        f"""
        tries = []

        @contextlib.asynccontextmanager
        async def app(settings, service):
            tries.append(1)
            if len(tries) < 3:
                raise {away}
            say("opened")
            yield
        """,
        ending='runner.START_AGAIN_SECONDS = 0.05\nrun("shop", Settings, app)',
    )
    await service.said("opened")
    service.process.send_signal(signal.SIGTERM)

    code, _, log = await service.ended()
    assert code == 0
    assert events(log)[:3] == ["start_waits", "start_waits", "service_ready"]


async def test_a_waiting_service_can_be_stopped(start: Start) -> None:
    """While it waits it is alive, not ready, and obeys."""
    service = await start("""
        @contextlib.asynccontextmanager
        async def app(settings, service):
            raise ConnectionRefusedError
            yield
    """)

    assert (await service.answers("/healthz", 200))["status"] == "alive"
    assert (await service.answers("/readyz", 503))["missing"] == ["start"]
    service.process.send_signal(signal.SIGTERM)
    code, _, _ = await service.ended()
    assert code == 0


async def test_a_hanging_start_can_be_stopped(start: Start) -> None:
    """A start that waits for ever is cancelled, and cleans up."""
    service = await start("""
        @contextlib.asynccontextmanager
        async def app(settings, service):
            say("opening")
            try:
                await asyncio.sleep(60)
                yield
            finally:
                say("cleaned")
    """)
    await service.said("opening")
    service.process.send_signal(signal.SIGTERM)

    code, out, _ = await service.ended()
    assert (code, out) == (0, ["cleaned"])


async def test_an_unforeseen_error_at_the_start_is_one_line(start: Start) -> None:
    """It names the error's class and the line of ours, gives none of its text away, and exits with 1."""
    service = await start("""
        from shared.topology import durable

        @contextlib.asynccontextmanager
        async def app(settings, service):
            durable("secret-name")
            yield
    """)

    code, _, log = await service.ended()
    assert code == 1
    line = json.loads(log[0])
    assert (line["event"], line["error"]) == ("service_failed", "KeyError")
    assert line["where"].startswith("shared/topology.py:")
    assert events(log) == ["service_failed", "service_stopped"]
    assert "secret-name" not in "".join(log)


async def test_a_taken_port_is_one_line(start: Start) -> None:
    """No traceback: the variable, its value, what is wrong with it; exit code 2, as for any wrong setting."""
    first = await start(PLAIN)
    await first.said("opened")

    second = await start(PLAIN, LISTEN=first.address)

    code, out, log = await second.ended()
    assert (code, out) == (2, [])
    assert log == [f"carillon: LISTEN is '{first.address}'; Address already in use"]


async def test_wrong_settings_end_before_anything_starts(start: Start) -> None:
    """A senseless setting is a line and exit code 2."""
    service = await start(PLAIN, RETRY_SECONDS="soon")

    code, out, log = await service.ended()
    assert (code, out, len(log)) == (2, [], 1)


async def test_readiness_names_what_is_missing(start: Start) -> None:
    """A check that fails, breaks or hangs makes the service not ready, by name, and blocks no other."""
    service = await start(
        """
        async def check(what):
            if what == "broken":
                raise LookupError("secret text")
            if what == "hanging":
                await asyncio.sleep(60)
            return what == "broker"

        @contextlib.asynccontextmanager
        async def app(settings, service):
            for what in ("database", "broken", "hanging", "broker"):
                service.ready_when(what, lambda what=what: check(what))
            yield
        """,
        ending='runner.CHECK_SECONDS = 0.2\nrun("shop", Settings, app)',
    )

    async with asyncio.timeout(120):
        while (body := await service.answers("/readyz", 503))["missing"][0] == "start":
            await asyncio.sleep(0.02)

    assert body == {
        "status": "not ready", "service": "shop", "missing": ["database", "broken", "hanging"]
    }  # fmt: skip
    service.process.send_signal(signal.SIGTERM)
    _, _, log = await service.ended()
    assert "secret text" not in "".join(log)


async def test_a_ready_service_says_so_and_shows_its_metrics(start: Start) -> None:
    """Ready means started, with every check passed; Prometheus finds its text; everything else is 404."""
    service = await start("""
        from shared.metrics import MARKETING_CLICKS

        async def there():
            return True

        @contextlib.asynccontextmanager
        async def app(settings, service):
            service.ready_when("database", there)
            MARKETING_CLICKS.labels("premium").inc()
            yield
    """)

    assert await service.answers("/readyz", 200) == {"status": "ready", "service": "shop", "missing": []}
    status, text = await service.ask("/metrics")
    assert status == 200
    assert 'marketing_clicks_total{promo_id="premium"} 1.0' in text
    assert (await service.ask("/admin"))[0] == 404


async def test_a_frozen_loop_is_noticed_and_ended(start: Start) -> None:
    """A loop that stands still cannot say so: a thread answers for it, and another ends the process."""
    service = await start(
        """
        @contextlib.asynccontextmanager
        async def app(settings, service):
            asyncio.get_running_loop().call_later(0.2, time.sleep, 60)
            say("opened")
            yield
        """,
        ending='runner.FROZEN_SECONDS, runner.WATCHDOG_SECONDS = 0.6, 4.5\nrun("shop", Settings, app)',
    )
    await service.said("opened")

    assert (await service.answers("/healthz", 503))["status"] == "frozen"

    code, _, log = await service.ended()
    assert code == 70
    assert events(log)[-1] == "loop_frozen"


async def test_a_service_that_serves_itself_leaves_the_port_alone(start: Start) -> None:
    """The gateway answers health, readiness and metrics on its own server, at the same address."""
    service = await start(
        """
        @contextlib.asynccontextmanager
        async def app(settings, service):
            host, port = settings.listen.split(":")

            async def answer(reader, writer):
                status, body = await service.readiness()
                writer.write(f"HTTP/1.0 {status} x\\r\\n\\r\\n{service.health()[1]['status']}".encode())
                writer.close()

            async with await asyncio.start_server(answer, host, int(port)):
                yield
        """,
        ending='run("shop", Settings, app, serves_itself=True)',
    )

    assert await service.ask("/") == (200, "alive")
