"""The simulator's time, which a test can move forward instead of waiting."""

import asyncio
import time
from contextlib import suppress


class Clock:
    """Wall time and monotonic time, in seconds, both ahead of the machine's by what `advance` added."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._moved = asyncio.Event()

    def time(self) -> float:
        """Return the time since the epoch."""
        return time.time() + self._ahead

    def monotonic(self) -> float:
        """Return a time that never goes back."""
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move time forward and wake whoever sleeps."""
        self._ahead += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Return once that many seconds have passed on this clock."""
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._moved.wait()
