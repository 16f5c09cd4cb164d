"""Coalescing: whoever asks for the same work while it is being done goes along with the next time.

What is begun after a call is seen by it; a hundred calls at once are two rounds of work and not a hundred.
"""

import asyncio
from collections.abc import Awaitable, Callable


class Coalescing:
    """A function without arguments, at most once at a time; calls that come meanwhile share the next."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Return when the work was done, from beginning to end, after this call; raise what it raised."""
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._after(self._running))
            self._next.add_done_callback(_noticed)
        # Whoever gives up leaves it to the others.
        await asyncio.shield(self._next)

    async def _after(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait([before])
        # From here on there may be news that this time does not see.
        self._running, self._next = self._next, None
        await self._work()


def _noticed(task: "asyncio.Task[None]") -> None:
    """Let no error be called unseen where everybody has given up."""
    if not task.cancelled():
        task.exception()
