"""Waiting for what belongs to one API key: not for long, and so that its other callers alone wait too."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from sqlalchemy.exc import DBAPIError

from shared.database import is_locked

AT_ONCE = 2
"""Uses of one key that ask the database at the same time: they wait for one row, and others need it too."""
PATIENCE_SECONDS = 1.0
"""How long a statement about one key waits for a lock."""


class KeyHeld(Exception):
    """Somebody has what is known of a key locked, for longer than its caller is let wait."""


class Turns:
    """Lets few of each key ask the database at the same time."""

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[str]:
        """Wait for a turn of this key; yields the `lock_timeout` that its statement is to have.

        Raises KeyHeld when the statement waited for a lock in vain.
        """
        turn = self._turns.setdefault(key, asyncio.Semaphore(AT_ONCE))
        async with turn:
            try:
                yield f"{PATIENCE_SECONDS:g}s"
            except DBAPIError as error:
                if not is_locked(error):
                    raise
                raise KeyHeld from None
