"""The clock: decides slots when they are due and tells the world, in any number of replicas at once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast
from uuid import UUID

from pydantic import ValidationError

from services.scheduler.domain import decision
from services.scheduler.domain.decision import Cancellation, Slot
from services.scheduler.store import Slots
from shared import tasks, telemetry
from shared.bus import BusUnavailable, Stored, Streams
from shared.database import is_unavailable
from shared.events import Event, PromoDue, SlotSkipped
from shared.failpoints import passing

NAMED_AT_MOST = 100
"""Slots at once that have a line of the log each; of more than that their number is told."""
LONGEST_SLEEP_SECONDS = 1.0
"""However far the next slot is: the wall clock may jump, and another replica may start a schedule."""

T = TypeVar("T")
PROMOS = "PROMOS"
TOLD = (PromoDue.pattern, SlotSkipped.pattern)
SKEW = timedelta(minutes=10)
"""How far the clocks of scheduler and broker may be apart."""
ADOPTED_AT_ONCE = 1_000

log = telemetry.logger(__name__)

Publish = Callable[[Event], Awaitable[None]]


async def both(first: Awaitable[T], second: Awaitable[object]) -> T:
    """Wait until both have come to an end, and return what the first says; an error of either is raised."""
    said, done = await asyncio.gather(first, second, return_exceptions=True)
    for each in (said, done):
        if isinstance(each, BaseException):
            raise each
    return cast("T", said)


def utc_now() -> datetime:
    """Return the time of the wall clock."""
    return datetime.now(UTC)


async def catch_up(slots: Slots, streams: Streams) -> None:
    """Learn what was decided and told since the database was last written: it may be an older backup.

    Otherwise a slot that is still valid would be decided once more, and perhaps otherwise.
    """
    newest = await slots.newest_decision()
    since = 1 if newest is None else await streams.first_since(PROMOS, newest - SKEW)
    told: dict[tuple[UUID, datetime], Slot] = {}
    cut = (await streams.cut())[PROMOS]
    async for stored in streams.read(PROMOS, *TOLD, since=since, up_to=cut):
        if (event := _decision(stored)) is None:
            continue
        said = decision.told(event)
        first = told.setdefault((said.schedule_id, said.slot), said)
        if first is not said and first.promo_id == said.promo_id:
            chat_ids = tuple(dict.fromkeys(first.chat_ids + said.chat_ids))
            told[said.schedule_id, said.slot] = replace(first, chat_ids=chat_ids)
    each = list(told.values())
    for start in range(0, len(each), ADOPTED_AT_ONCE):
        if adopted := await slots.adopt(each[start : start + ADOPTED_AT_ONCE]):
            log.warning("slots_learned_from_the_stream", slots=len(adopted))


def _decision(stored: Stored) -> PromoDue | SlotSkipped | None:
    kind = PromoDue if stored.subject == PromoDue.pattern else SlotSkipped
    try:
        return kind.model_validate_json(stored.payload)
    except ValidationError:
        # It has become a dead letter where it was to be handled.
        return None


class Clock:
    """Decides and announces until it is cancelled; `wake` makes it look at once."""

    def __init__(self, slots: Slots, publish: Publish, now: Callable[[], datetime] = utc_now) -> None:
        self._slots = slots
        self._publish = publish
        self._now = now
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look for due slots at once: a schedule was started or stopped."""
        self._woken.set()

    async def run(self) -> None:
        """Tick when the next slot is due, and at least every second; an outage is waited for."""
        while True:
            self._woken.clear()
            # gather hands an error over as a value: an outage is told from the unforeseen, which is raised.
            (sleep,) = await asyncio.gather(self.tick(), return_exceptions=True)
            if isinstance(sleep, BaseException):
                if not isinstance(sleep, BusUnavailable) and not is_unavailable(sleep):
                    raise sleep
                log.warning("clock_waits_for_outage", error=type(sleep).__name__)
                sleep = LONGEST_SLEEP_SECONDS
            await tasks.wait(self._woken, sleep)

    async def tick(self) -> float:
        """Decide what is due, announce what is not announced; return for how many seconds to sleep."""
        # What was decided is announced while the next is decided: the last time nothing more is decided.
        while await both(self._slots.decide_due(self._now()), self._announce()):
            pass
        next_due = await self._slots.next_due()
        if next_due is None:
            return LONGEST_SLEEP_SECONDS
        return min(max((next_due - self._now()).total_seconds(), 0.0), LONGEST_SLEEP_SECONDS)

    async def _announce(self) -> None:
        async with self._slots.unannounced_cancellations() as cancelled:
            await asyncio.gather(*(self._announce_cancellation(each) for each in cancelled))
        held: int | None = None
        while held != 0:
            async with self._slots.unannounced() as slots:
                held = len(slots)
                each_by_name = held <= NAMED_AT_MOST
                await asyncio.gather(*(self._announce_slot(slot, named=each_by_name) for slot in slots))
                if not each_by_name:
                    skipped = sum(slot.skipped is not None for slot in slots)
                    log.info("slots_announced", due=held - skipped, skipped=skipped)

    async def _announce_slot(self, slot: Slot, *, named: bool) -> None:
        with telemetry.span("slot", schedule_id=str(slot.schedule_id), slot=slot.slot.isoformat()):
            posts = [self._announce_post(event) for event in slot.events()]
            # A task for each of thousands of slots with one chat would be one too many.
            await (posts[0] if len(posts) == 1 else asyncio.gather(*posts))
            if named:
                _note(slot)

    async def _announce_post(self, event: Event) -> None:
        await self._publish(event)
        passing("between_posts")

    async def _announce_cancellation(self, cancelled: Cancellation) -> None:
        with telemetry.span("cancellation", schedule_id=str(cancelled.schedule_id)):
            await self._publish(cancelled.event())
            log.info(
                "cancellation_announced", schedule_id=str(cancelled.schedule_id),
                promo_id=cancelled.promo_id, up_to=cancelled.up_to.isoformat(),
            )  # fmt: skip


def _note(slot: Slot) -> None:
    at = {"schedule_id": str(slot.schedule_id), "slot": slot.slot.isoformat()}
    if slot.skipped is None:
        log.info("slot_due", **at, promo_id=slot.promo_id, chats=len(slot.chat_ids))
    else:
        log.warning("slot_skipped", **at, reason=slot.skipped)
