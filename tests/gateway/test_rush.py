"""A rush at the door: what is to be stored goes before what is to be handled, and starves nobody."""

import asyncio
import time
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.gateway.api import Rush, rush

BUSY_SECONDS = 0.01


class Door:
    """Updates that are being stored, and a process that has so much else to do."""

    def __init__(self, storing: int, *, busy: bool) -> None:
        self.rush = Rush()
        self._storing = storing
        self._busy = busy
        self._closed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Door":
        """Open, and let it go on until the process has seen what is the matter."""
        self._tasks = [asyncio.create_task(self._store()) for _ in range(self._storing)]
        self._tasks.append(asyncio.create_task(self._compute()))
        await asyncio.sleep(20 * rush.LOOK_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Store them all."""
        self._closed.set()
        await asyncio.gather(*self._tasks)

    async def _store(self) -> None:
        with self.rush:
            await self._closed.wait()

    async def _compute(self) -> None:
        while not self._closed.is_set():
            if self._busy:
                time.sleep(BUSY_SECONDS)  # noqa: ASYNC251 - what is tested is a loop that is held up
            await asyncio.sleep(0 if self._busy else BUSY_SECONDS)


async def test_handlers_step_back_while_the_door_does_not_keep_up() -> None:
    """Many wait at the door and the process has too much to do: whoever handles waits till they are in."""
    async with Door(rush.MANY, busy=True) as door:
        stepping_back = asyncio.create_task(door.rush.over())
        await asyncio.sleep(3 * rush.HOLD_SECONDS)
        assert not stepping_back.done()
    await asyncio.wait_for(stepping_back, 20)


@pytest.mark.parametrize(
    ("storing", "busy"),
    [
        pytest.param(rush.MANY - 1, True, id="few wait, whatever else the process does"),
        pytest.param(10 * rush.MANY, False, id="the broker is slow, and the process is not"),
    ],
)
async def test_what_is_no_rush_holds_up_nobody(storing: int, *, busy: bool, monkeypatch: Any) -> None:
    """Handlers go on while few wait at the door, and while it is the broker that many wait for."""
    # A machine that does not get round to the test looks like a process that has too much to do.
    monkeypatch.setattr(rush, "LONG_SECONDS", rush.LONG_SECONDS if busy else 5.0)
    async with Door(storing, busy=busy) as door:
        began = door.rush.over()
        with pytest.raises(StopIteration):
            began.send(None)


async def test_a_rush_without_end_stops_nobody(monkeypatch: Any) -> None:
    """Whoever has stepped back for long goes on, though the rush does too."""
    monkeypatch.setattr(rush, "LONGEST_SECONDS", 0.3)
    async with Door(2 * rush.MANY, busy=True) as door:
        began = time.monotonic()
        await asyncio.wait_for(door.rush.over(), 20)
        assert time.monotonic() - began >= 0.3


async def test_who_stepped_back_first_goes_on_first(monkeypatch: Any) -> None:
    """Commands of a chat stay in their order, also when the next comes as the rush has just ended."""
    # The machine may take a while to get round to the first.
    monkeypatch.setattr(rush, "HOLD_SECONDS", 0.7)
    went_on: list[int] = []
    async with Door(rush.MANY, busy=True) as door:

        async def go_on(number: int) -> None:
            await door.rush.over()
            went_on.append(number)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(go_on(1))
            await asyncio.sleep(0)
            assert went_on == []
            # The rush ends before the loop gets round to those who wait for that.
            time.sleep(1.5 * rush.HOLD_SECONDS)  # noqa: ASYNC251 - what is tested is a loop that is held up
            await go_on(2)
    assert went_on == [1, 2]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> float:
    """Make of every update a rush; return how many seconds it lasts."""
    for name, value in {"MANY": 1, "LOOK_SECONDS": 0.0, "LONG_SECONDS": 0.0, "HOLD_SECONDS": 0.7}.items():
        monkeypatch.setattr(rush, name, value)
    return rush.HOLD_SECONDS


async def test_in_a_rush_updates_are_answered_first_and_handled_later(always: float, gateway: Any) -> None:
    """Commands, presses and what asks for nothing: each is stored and answered, and then comes to its end."""
    told = REGISTRY.get_sample_value("telegram_rush_seconds_total") or 0.0
    updates = [
        (gateway.message(1, "/help"), "handled"),
        (gateway.message(2, "hello"), "ignored"),
        (gateway.press(3, "p1.premium.AAAAAAAAAAAAAAAAAAAAAA"), "handled"),
    ]
    for number, (update, end) in enumerate(updates, start=1):
        began = time.monotonic()
        assert (await gateway.hook(update))[0] == 200
        assert (await gateway.logged(number))["status"] == end
        assert time.monotonic() - began >= always
    assert (REGISTRY.get_sample_value("telegram_rush_seconds_total") or 0.0) - told >= 2 * always
