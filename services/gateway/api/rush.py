"""A rush at the door: updates that are to be stored go before those that are to be handled.

Whoever presses a button waits for the answer to the webhook; what is stored already waits safely in the
stream. So while more updates wait at the door than this process gets through, its handlers step back, though
never altogether. A slow broker is no rush: handlers that step back would not make it quicker.
"""

import asyncio
import time

from shared import metrics

MANY = 8
"""Updates at once that are being stored; few wait when a process keeps up."""
LONG_SECONDS = 0.003
"""A turn of the event loop that takes so long has more to do than it should."""
LOOK_SECONDS = 0.005
HOLD_SECONDS = 0.1
"""A rush is over when nothing has told of it for so long."""
LONGEST_SECONDS = 5.0
"""Whoever steps back goes on after so long all the same: a rush that does not end stops nobody for good."""


class Rush:
    """Is entered with each update that is being stored, and tells those who step back when it is over."""

    def __init__(self) -> None:
        self._storing = 0
        self._until = 0.0
        self._is_looking = False
        self._line = asyncio.Lock()

    def __enter__(self) -> None:
        """Count an update that is being stored."""
        self._storing += 1
        if self._storing >= MANY and not self._is_looking:
            self._is_looking = True
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def __exit__(self, *_error: object) -> None:
        """Count it no more."""
        self._storing -= 1

    async def over(self) -> None:
        """Return when there is no rush, at the latest after `LONGEST_SECONDS`; who came first goes first."""
        latest = time.monotonic() + LONGEST_SECONDS
        # In line, for what is to be handled in a chat one after the other comes from several handlers.
        async with self._line:
            while (left := min(self._until, latest) - time.monotonic()) > 0:
                await asyncio.sleep(left)

    def _look(self) -> None:
        # What else is due in this turn of the loop comes in between.
        asyncio.get_running_loop().call_soon(self._looked, time.monotonic())

    def _looked(self, began: float) -> None:
        now = time.monotonic()
        if self._storing >= MANY and now - began >= LONG_SECONDS:
            metrics.RUSH_SECONDS.inc(now + HOLD_SECONDS - max(self._until, now))
            self._until = now + HOLD_SECONDS
        self._is_looking = self._storing >= MANY
        if self._is_looking:
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
