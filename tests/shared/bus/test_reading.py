"""Reading a stream: everything up to a cut, each message once, whatever happens to it meanwhile."""

import time
from datetime import UTC, datetime

import pytest

from shared.bus import Bus, ahead
from shared.bus.reading import WAIT_SECONDS
from shared.events import ButtonClicked, click_id
from tests.servers import AnyNats

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_everything_up_to_the_cut_is_read_once(
    prepared_nats: AnyNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than is asked for at once comes in order and without a pause, less what is erased meanwhile."""
    monkeypatch.setattr(ahead, "AT_ONCE", 4)
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
    assert took < WAIT_SECONDS, "what is asked for while messages are taken was not waited for"


def press(number: int) -> ButtonClicked:
    """Make a press."""
    return ButtonClicked(
        id=click_id(7, number), at=NOW, payload="premium", bot="default", bot_id=7, update_id=number
    )
