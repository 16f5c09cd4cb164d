"""Whose turn it is: a service lets what it consumes wait for what is more urgent."""

import asyncio
from collections.abc import Sequence

from nats.aio.client import Client

from shared.bus import Bus, Receipt, on_batch_or_alone
from shared.events import ButtonClicked
from tests.conftest import ACK_WAIT_SECONDS
from tests.shared.bus.conftest import MemoryAttempts, click, settled, until

DURABLE = "clicks_presses"
ALONE = 3


class Turns:
    """A gate that is shut, and what came through it."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.waiting = 0
        self.handled: list[str] = []
        self.route = on_batch_or_alone(
            ButtonClicked, self._together, alone=lambda press: press.payload == "alone", handle_one=self._one
        )

    async def turn(self) -> None:
        """Wait at the gate."""
        self.waiting += 1
        await self.opened.wait()

    async def _together(self, presses: Sequence[ButtonClicked]) -> None:
        self.handled.extend(str(press.id) for press in presses)

    async def _one(self, press: ButtonClicked, _receipt: Receipt) -> None:
        self.handled.append(str(press.id))


async def test_nothing_is_begun_before_its_turn(bus: Bus, attempts: MemoryAttempts, client: Client) -> None:
    """Batches and what is handled alone wait for their turn, longer than their ack wait, and come once."""
    turns = Turns()
    events = [click(number, payload="alone" if number < ALONE else "many") for number in range(30)]
    await asyncio.gather(*(bus.publish(event) for event in events))
    async with bus.consume_batches(DURABLE, turns.route, attempts=attempts, turn=turns.turn):
        await until(lambda: turns.waiting > ALONE)
        await asyncio.sleep(1.6 * ACK_WAIT_SECONDS)
        assert turns.handled == []
        turns.opened.set()
        await settled(client, DURABLE)
    assert sorted(turns.handled) == sorted(str(event.id) for event in events)


async def test_leaving_hands_back_what_waits_for_its_turn(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """P20: what has waited for its turn when its process leaves is not begun any more; another takes it."""
    turns = Turns()
    events = [click(number, payload="alone" if number < ALONE else "many") for number in range(30)]
    await asyncio.gather(*(bus.publish(event) for event in events))

    async def open_soon() -> None:
        await asyncio.sleep(0.2)
        assert turns.handled == []
        turns.opened.set()

    async with asyncio.TaskGroup() as tasks:
        async with bus.consume_batches(DURABLE, turns.route, attempts=attempts, turn=turns.turn):
            await until(lambda: turns.waiting > ALONE)
            tasks.create_task(open_soon())
        assert turns.handled == []
    async with bus.consume_batches(DURABLE, turns.route, attempts=attempts, turn=turns.turn):
        await settled(client, DURABLE)
    assert sorted(turns.handled) == sorted(str(event.id) for event in events)
