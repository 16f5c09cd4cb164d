"""Waiting and cancelling in which no cancellation is lost.

`asyncio.wait_for` of Python 3.11 swallows a cancellation that comes together with what it waits for; the
client of the broker and the driver of the database use it. A loop that calls them may then go on after it was
cancelled.
"""

import asyncio
from contextlib import suppress
from typing import Any

AGAIN_SECONDS = 0.5


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, at most so many seconds; say whether it has come."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def cancel(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks, and those that go on nevertheless again and again, until all have ended.

    Not for a task that takes its time to end in order: its clearing up would be cancelled too.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN_SECONDS)


class Bell:
    """Wakes whoever waits for news of its own process, so that they need not ask all the time.

    Who read `rung` before looking misses nothing that came while they looked.
    """

    def __init__(self) -> None:
        self.rung = 0
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Wake everybody who waits."""
        self.rung += 1
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, since: int, seconds: float) -> None:
        """Wait until it has rung again since it had `rung` so often, at most so many seconds."""
        if self.rung == since and seconds > 0:
            await wait(self._next, seconds)
