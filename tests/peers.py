"""Waiting for services that run beside a test."""

import asyncio
from contextlib import suppress

from shared.bus import Bus, NoAnswer
from shared.queries import ListSchedules


async def answering(bus: Bus) -> None:
    """Wait until scheduler answers: the broker learns of its subscriptions a moment after it has started."""
    while True:
        with suppress(NoAnswer):
            await bus.ask(ListSchedules())
            return
        await asyncio.sleep(0.02)
