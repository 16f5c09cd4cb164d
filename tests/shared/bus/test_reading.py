"""Reading a stream: everything up to a cut, each message once, whatever happens to it meanwhile."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client

from shared.bus import Bus, BusUnavailable, ahead, reading
from shared.bus.envelope import Arrived
from shared.events import ButtonClicked, click_id
from tests.servers import AnyNats

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_everything_up_to_the_cut_is_read_once(
    prepared_nats: AnyNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than is asked for at once comes in order and without a pause, less what is erased meanwhile."""
    monkeypatch.setattr(ahead, "AT_ONCE", 4)
    monkeypatch.setattr(reading, "WAIT_SECONDS", 40.0)
    async with Bus.open(prepared_nats.url, service="tests") as bus:
        for number in range(30):
            await bus.publish(press(number))
        seen = []
        async for stored in bus.streams.read("CLICKS", "clicks.pressed", since=3, up_to=28):
            seen.append(stored.sequence)
            if stored.sequence == 5:
                for sequence in (22, 23, 28):
                    await bus.streams.erase("CLICKS", sequence)
        began = time.monotonic()
        again = [stored.sequence async for stored in bus.streams.read("CLICKS", "clicks.>", up_to=100)]
        took = time.monotonic() - began

    assert seen == [*range(3, 22), *range(24, 28)]
    assert again == [*range(1, 22), *range(24, 28), 29, 30]
    assert took < 20, "what is asked for while messages are taken was not waited for"


@pytest.mark.parametrize("lost", [1, 3, 30])
async def test_lost_replies_are_read_again(
    prepared_nats: AnyNats, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """Whatever is lost on the way, even all of it, is asked for again: an empty answer is no end."""
    lose = losing(monkeypatch)
    monkeypatch.setattr(reading, "WAIT_SECONDS", 0.2)
    async with Bus.open(prepared_nats.url, service="tests") as bus:
        for number in range(30):
            await bus.publish(press(number))
        lose.replies = lost
        seen = [stored.sequence async for stored in bus.streams.read("CLICKS", "clicks.>", up_to=30)]

    assert lose.replies == 0
    assert seen == list(range(1, 31))


async def test_what_is_never_handed_over_is_an_error(
    prepared_nats: AnyNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that has more and does not hand it over is unavailable, and not at its end."""
    lose = losing(monkeypatch)
    monkeypatch.setattr(reading, "WAIT_SECONDS", 0.1)
    async with Bus.open(prepared_nats.url, service="tests") as bus:
        await bus.publish(press(1))
        lose.replies = 1000
        with pytest.raises(BusUnavailable, match="CLICKS"):
            [stored async for stored in bus.streams.read("CLICKS", "clicks.>", up_to=1)]


@dataclass
class Losing:
    """So many replies of the broker are lost on their way."""

    replies: int = 0


def losing(monkeypatch: pytest.MonkeyPatch) -> Losing:
    """Let replies be lost as a connection loses them: between the broker and whoever asked."""
    lose, arrived = Losing(), ahead.Ahead._arrived

    def lossy(self: ahead.Ahead, message: Arrived) -> None:
        if lose.replies:
            lose.replies -= 1
            return
        arrived(self, message)

    monkeypatch.setattr(ahead.Ahead, "_arrived", lossy)
    return lose


async def test_what_is_under_way_is_bounded_in_bytes(
    prepared_nats: AnyNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many messages are asked for, few come before they are taken; all come, without a pause."""
    monkeypatch.setattr(ahead, "BYTES", 2_000)
    monkeypatch.setattr(reading, "WAIT_SECONDS", 40.0)
    monkeypatch.setattr(ahead, "HEADROOM", 0)
    async with Bus.open(prepared_nats.url, service="tests") as bus:
        for number in range(60):
            await bus.publish(press(number))
        monkeypatch.setattr(bus._client, "_max_payload", 1_000)
        before, seen = bus._client.stats["in_bytes"], []
        began = time.monotonic()
        async for stored in bus.streams.read("CLICKS", "clicks.pressed", up_to=60):
            if not seen:
                await asyncio.sleep(0.3)
                under_way = bus._client.stats["in_bytes"] - before
            seen.append(stored.sequence)
        took = time.monotonic() - began

    assert seen == [*range(1, 61)]
    assert 0 < under_way < 11_000
    assert took < 20


async def test_nothing_is_left_of_a_reading_that_ends_in_an_outage(
    prepared_nats: AnyNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stops reading while the connection is away does not take the subscription to the next one."""
    async with Bus.open(prepared_nats.url, service="tests") as bus:
        before = set(bus._client._subs)
        with monkeypatch.context() as away:
            async with ahead.Ahead(bus._client, "CLICKS", "nobody", 1):
                away.setattr(bus._client, "_status", Client.RECONNECTING)

        assert set(bus._client._subs) == before


def press(number: int) -> ButtonClicked:
    """Make a press."""
    return ButtonClicked(
        id=click_id(7, number), at=NOW, payload="premium", bot="default", bot_id=7, update_id=number
    )
