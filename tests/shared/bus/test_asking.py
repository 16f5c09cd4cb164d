"""Questions between services, over the real server."""

import asyncio
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import pytest
from nats.aio.client import Client

from shared.bus import Bus, NoAnswer, Refusal, TooLarge, answering
from shared.queries import (
    ClickPage,
    CountClicks,
    GetMessage,
    ListClicks,
    MessageView,
    PromoClicks,
    PromoClicksList,
)
from tests.servers import AnyNats

COUNTS = PromoClicksList(
    items=(PromoClicks(promo_id="vip", clicks=2, unique_users=1, conversion_rate=0.5, deep_links=0, posts=1),)
)


async def test_an_answer_comes_back_typed(bus: Bus) -> None:
    """The asker gets what the answering function returned."""

    async def count(query: CountClicks) -> PromoClicksList:
        assert query.promo_id == "vip"
        return COUNTS

    async with bus.answer(answering(CountClicks, count)):
        assert await bus.ask(CountClicks(promo_id="vip")) == COUNTS


async def test_who_begins_to_answer_is_known_to_the_broker(broker: AnyNats) -> None:
    """The broker has confirmed the subscription, not just what was written before it."""
    there = urlsplit(broker.url)
    written = bytearray()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)

        async def pour(source: asyncio.StreamReader, into: asyncio.StreamWriter, copy: bytearray) -> None:
            while data := await source.read(65_536):
                copy += data
                into.write(data)
            into.close()

        await asyncio.gather(pour(reader, far_writer, written), pour(far_reader, writer, bytearray()))

    async with await asyncio.start_server(pass_on, "127.0.0.1", 0) as server:
        url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        count = answering(CountClicks, lambda _: asyncio.sleep(0, COUNTS))
        async with Bus.open(url, service="tests") as bus, bus.answer(count):
            assert 0 < written.find(b"SUB ask.clicks.count_clicks") < written.rfind(b"PING")


async def test_one_replica_answers(bus: Bus, broker: AnyNats) -> None:
    """A question is answered by one replica of the service, however many there are."""
    answered: list[str] = []

    def replica(name: str):  # noqa: ANN202 - a closure per replica
        async def count(_query: CountClicks) -> PromoClicksList:
            answered.append(name)
            return COUNTS

        return answering(CountClicks, count)

    async with (
        Bus.open(broker.url, service="clicks") as first,
        Bus.open(broker.url, service="clicks") as second,
        first.answer(replica("first")),
        second.answer(replica("second")),
    ):
        for _ in range(20):
            await bus.ask(CountClicks())
    assert len(answered) == 20
    assert set(answered) == {"first", "second"}


async def test_a_refusal_is_raised_at_the_asker(bus: Bus) -> None:
    """A considered no travels as a problem, not as silence."""

    async def refuse(_query: GetMessage) -> MessageView:
        raise Refusal(404, "Unknown message", "there is no message of that id")

    async with bus.answer(answering(GetMessage, refuse)):
        with pytest.raises(Refusal) as caught:
            await bus.ask(GetMessage(message_id=uuid4()))
    assert (caught.value.status, caught.value.title) == (404, "Unknown message")


async def test_an_unforeseen_error_is_told_without_its_text(bus: Bus) -> None:
    """An error's text never leaves the service: the asker gets an error id."""

    async def fail(_query: ListClicks) -> ClickPage:
        raise KeyError("postgresql://user:password@host")

    async with bus.answer(answering(ListClicks, fail)):
        with pytest.raises(Refusal) as caught:
            await bus.ask(ListClicks())
    assert caught.value.status == 500
    assert "password" not in str(caught.value)
    assert caught.value.extra["error_id"]


async def test_an_unavailable_database_is_a_503(bus: Bus) -> None:
    """A database error is never reported as zero: it is an error."""

    async def fail(_query: CountClicks) -> PromoClicksList:
        raise ConnectionRefusedError

    away = answering(CountClicks, fail)
    async with bus.answer(away, is_unavailable=lambda error: isinstance(error, ConnectionRefusedError)):
        with pytest.raises(Refusal) as caught:
            await bus.ask(CountClicks())
    assert caught.value.status == 503


class Lost(Exception):
    """What a transaction raises that lost against another."""


async def test_what_lost_against_another_is_tried_again(bus: Bus) -> None:
    """A deadlock changes nothing, so that the asker need not hear of it; what goes on for ever is a 503."""
    tries: list[str | None] = []

    async def count(query: CountClicks) -> PromoClicksList:
        tries.append(query.promo_id)
        if query.promo_id == "busy" or len(tries) < 3:
            raise Lost
        return COUNTS

    async with bus.answer(answering(CountClicks, count), is_conflict=lambda error: isinstance(error, Lost)):
        assert await bus.ask(CountClicks()) == COUNTS
        assert len(tries) == 3
        with pytest.raises(Refusal) as caught:
            await bus.ask(CountClicks(promo_id="busy"))
    assert (caught.value.status, caught.value.extra) == (503, {})
    assert 1 < tries.count("busy") < 10


async def test_nobody_there_is_no_answer(bus: Bus) -> None:
    """Without a service there is no answer, at once."""
    with pytest.raises(NoAnswer):
        await bus.ask(CountClicks(), timeout=1)


async def test_a_slow_answer_holds_up_no_other(bus: Bus) -> None:
    """Answers run side by side."""
    slow_begins, release = asyncio.Event(), asyncio.Event()

    async def count(query: CountClicks) -> PromoClicksList:
        if query.promo_id == "slow":
            slow_begins.set()
            await release.wait()
        return COUNTS

    async with bus.answer(answering(CountClicks, count)):
        slow = asyncio.create_task(bus.ask(CountClicks(promo_id="slow"), timeout=60))
        await slow_begins.wait()
        await bus.ask(CountClicks(), timeout=30)
        assert not slow.done()
        release.set()
        await slow


async def test_a_malformed_question_is_refused_by_name(bus: Bus, broker: AnyNats) -> None:
    """A question that is not one is refused with the fields that are wrong."""
    async with bus.answer(answering(ListClicks, lambda _query: asyncio.sleep(0))):  # type: ignore[arg-type,return-value]  # never reached
        bare = Client()
        await bare.connect(broker.url)
        reply = await bare.request("ask.clicks.list_clicks", b'{"limit": "many"}', 2)
        await bare.close()
    assert orjson.loads(reply.data)["refusal"]["detail"] == "wrong: limit"


async def test_too_large_a_question_is_named(bus: Bus) -> None:
    """What the broker would hang up for is never sent, and is not mistaken for a silent service."""
    with pytest.raises(TooLarge):
        await bus.ask(ListClicks(cursor="x" * bus.max_payload))
    with pytest.raises(NoAnswer):
        await bus.ask(CountClicks(), timeout=1)
