"""A bot's updates: one sequence for all kinds and both ways of delivery, and getUpdates."""

import asyncio
import json
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from devstack.telegram.clock import Clock
from devstack.telegram.refusals import Refused, conflict

KINDS = frozenset(
    {
        "message",
        "edited_message",
        "channel_post",
        "edited_channel_post",
        "business_connection",
        "business_message",
        "edited_business_message",
        "deleted_business_messages",
        "message_reaction",
        "message_reaction_count",
        "inline_query",
        "chosen_inline_result",
        "callback_query",
        "shipping_query",
        "pre_checkout_query",
        "purchased_paid_media",
        "poll",
        "poll_answer",
        "my_chat_member",
        "chat_member",
        "chat_join_request",
        "chat_boost",
        "removed_chat_boost",
    }
)
DEFAULT_KINDS = KINDS - {"chat_member", "message_reaction", "message_reaction_count"}

DAY = 86_400.0
LIFETIMES = {"callback_query": 150.0, "inline_query": 30.0, "chosen_inline_result": 600.0}
MOST_PENDING = 100_000


@dataclass(slots=True, eq=False)
class Update:
    """One update on its way to a bot.

    `place` orders it within the simulator, since a malformed update may have no `update_id`, or that of
    another. `lane` is the queue it waits in; `chat_id` is for faults. `delivered` is set once a receiver
    has it, or it was given up.
    """

    place: int
    update_id: int | None
    kind: str
    body: str
    lane: str
    chat_id: int | None
    expires_at: float
    failures: int = 0
    delivered: asyncio.Event = field(default_factory=asyncio.Event)


class UpdateQueue:
    """What a bot has not confirmed yet, oldest first; what expired or is over 100,000 is discarded."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self.pending: OrderedDict[int, Update] = OrderedDict()
        self.allowed: frozenset[str] = DEFAULT_KINDS
        self.listener: Callable[[Update], None] | None = None
        self._clock = clock
        self._next_id = chance.randint(2_000_001, 10**9)
        self._next_place = 1

    def add(
        self,
        kind: str,
        value: dict[str, Any],
        *,
        lane: str,
        chat_id: int | None = None,
        update_id: int | None = None,
        copies: int = 1,
    ) -> Update | None:
        """Queue an update, several times over for `copies`, and return the last copy.

        Returns None where the bot does not want this kind. A given `update_id` leaves the sequence alone.
        """
        if kind not in self.allowed:
            return None
        if update_id is None:
            update_id, self._next_id = self._next_id, self._next_id + 1
        body = f'{{"update_id":{update_id},\n{json.dumps(kind)}:{json.dumps(value, separators=(",", ":"))}}}'
        added = [self._queue(update_id, kind, body, lane, chat_id) for _ in range(copies)]
        return added[-1]

    def add_raw(self, body: str, update_id: int | None) -> Update:
        """Queue bytes as they are, well-formed or not."""
        return self._queue(update_id, "raw", body, "raw", None)

    def _queue(self, update_id: int | None, kind: str, body: str, lane: str, chat_id: int | None) -> Update:
        expires_at = self._clock.time() + LIFETIMES.get(kind, DAY)
        update = Update(self._next_place, update_id, kind, body, lane, chat_id, expires_at)
        self._next_place += 1
        if len(self.pending) < MOST_PENDING:
            self.pending[update.place] = update
            if self.listener is not None:
                self.listener(update)
        return update

    def drop(self, updates: Iterable[Update]) -> None:
        """Forget updates: delivered, confirmed, expired or unwanted."""
        for update in updates:
            self.pending.pop(update.place, None)
            update.delivered.set()

    def expired(self, update: Update) -> bool:
        """Return whether nobody wants to hear of it any more."""
        return self._clock.time() >= update.expires_at

    def want(self, kinds: object) -> None:
        """Take a new `allowed_updates`; what is not a list keeps the former one."""
        if isinstance(kinds, list):
            known = frozenset(kind for kind in kinds if isinstance(kind, str)) & KINDS
            self.allowed = known or DEFAULT_KINDS


class Polling:
    """getUpdates of one bot: a poll waits for updates, and a newer poll ends it."""

    def __init__(self, updates: UpdateQueue, clock: Clock) -> None:
        self._updates = updates
        self._clock = clock
        self._waiting: asyncio.Future[None] | None = None
        self._last_offset: int | None = None
        self._last_end = -1e9
        self._last_start = -1e9

    async def poll(self, offset: int, limit: int, timeout: int) -> list[Update]:
        """Confirm what the offset says, then return up to `limit` updates, waiting for one if need be.

        The same offset again within 3 s waits for 3 s at least, so that a careless client does not spin.
        """
        self.interrupt(
            conflict(
                "terminated by other getUpdates request; make sure that only one bot instance is running"
            )
        )
        self._confirm(offset)
        now = self._clock.monotonic()
        if offset == self._last_offset and now - self._last_end < 3 and timeout < 3:
            timeout = 3
            limit = 1 if now - self._last_start < 0.5 else limit
        self._last_offset, self._last_start = offset, now
        if not self._updates.pending and timeout:
            await self._wait(timeout)
        self._last_end = self._clock.monotonic()
        batch = list(self._updates.pending.values())[:limit]
        for update in batch:
            update.delivered.set()
        return batch

    def interrupt(self, refusal: Refused) -> None:
        """End the poll that waits, with an error."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(refusal)

    def _confirm(self, offset: int) -> None:
        pending = list(self._updates.pending.values())
        self._updates.drop(update for update in pending if self._updates.expired(update))
        if offset > 0:
            told = (u for u in pending if u.delivered.is_set() if u.update_id is None)
            self._updates.drop(told)
            self._updates.drop(u for u in pending if u.update_id is not None and u.update_id < offset)
        elif offset < 0:
            self._updates.drop(pending[:offset])

    async def _wait(self, seconds: int) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting = waiting

        def wake(_: Update) -> None:
            if not waiting.done():
                waiting.set_result(None)

        self._updates.listener = wake
        try:
            await asyncio.wait({waiting}, timeout=seconds)
            if waiting.done():
                waiting.result()
        finally:
            waiting.cancel()
            if self._updates.listener is wake:
                self._updates.listener = None
