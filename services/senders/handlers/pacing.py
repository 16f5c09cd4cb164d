"""Pacing: how an attempt comes by its slot, and when that slot is lost."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from services.senders.domain.limits import LEAST_SECONDS_LATE, Bearing, Limit, Limits, Reach
from services.senders.store import Governor
from shared import metrics
from shared.events import Lane

SLEPT_SECONDS = 1.0
"""A longer wait for a slot becomes `due_at`, so that no worker is held."""
FIRST_LEAD_SECONDS = 0.01


class Lead:
    """How long it takes from the governor's answer to a claim, as a mean and the mean deviation from it."""

    def __init__(self) -> None:
        self._mean = self._deviation = FIRST_LEAD_SECONDS

    @property
    def seconds(self) -> float:
        """The time to allow for."""
        return min(self._mean + 2 * self._deviation, SLEPT_SECONDS)

    def took(self, seconds: float) -> None:
        """Learn from a claim; a single hiccup is not what the next one will take."""
        seconds = min(seconds, 2 * self.seconds)
        self._deviation += (abs(seconds - self._mean) - self._deviation) / 8
        self._mean += (seconds - self._mean) / 8


@dataclass(frozen=True)
class Slot:
    """The right to send from `at` until `until`, by the monotonic clock; to be claimed `lead` before."""

    kind: str
    lead: float
    at: float
    until: float

    def claimed_after(self) -> float:
        """Return how long after the time to claim it, it is claimed now."""
        return time.monotonic() - self.at + self.lead

    async def use(self) -> bool:
        """Wait for its time and count it; False when it has passed: now it would crowd the next one."""
        await _sleep_until(self.at)
        in_time = time.monotonic() <= self.until
        metrics.RATE_LIMIT_SLOTS.labels(key=self.kind, use="used" if in_time else "lost").inc()
        return in_time


@dataclass(frozen=True)
class Wait:
    """No slot within a moment: ask again after so many seconds; `kind` is the limit in the way."""

    kind: str
    seconds: float


class Pacing:
    """Finds slots for one process: per limit and lane one attempt asks the governor, the others queue up."""

    def __init__(self, governor: Governor, limits: Limits) -> None:
        self._governor = governor
        self._limits = limits
        self.lead = Lead()
        self._bearing = Bearing()
        self._turns: defaultdict[tuple[str, Lane], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: defaultdict[tuple[str, Lane], int] = defaultdict(int)

    async def slot(self, lane: Lane, limits: Sequence[Limit]) -> Slot | Wait:
        """Wait for a slot on all these limits, the shared one first, but only a moment."""
        began = time.monotonic()
        found = await self._queue(lane, limits)
        if isinstance(found, Slot):
            await _sleep_until(found.at - found.lead)
        waited = time.monotonic() - began
        metrics.RATE_LIMIT_WAIT_SECONDS.labels(key=found.kind).inc(waited)
        if isinstance(found, Wait) or waited > limits[0].interval:
            metrics.RATE_LIMIT_WAITS.labels(key=found.kind).inc()
        return found

    async def _queue(self, lane: Lane, limits: Sequence[Limit]) -> Slot | Wait:
        shared, turn = limits[0], (limits[0].key, lane)
        before = self._waiting[turn] * shared.interval
        if before > SLEPT_SECONDS:
            return Wait(shared.kind, before)
        reach = self._limits.reach(lane, shared)
        # Whatever becomes of it: who is counted as waiting for ever shuts the limit for all that follow.
        self._waiting[turn] += 1
        try:
            await self._governor.add(limits, reach)
            return await self._in_turn(self._turns[turn], limits, reach)
        finally:
            self._waiting[turn] -= 1

    async def _in_turn(self, turn: asyncio.Lock, limits: Sequence[Limit], reach: Reach) -> Slot | Wait:
        try:
            async with asyncio.timeout(SLEPT_SECONDS):
                await turn.acquire()
        except TimeoutError:
            return Wait(limits[0].kind, SLEPT_SECONDS)
        try:
            return await self._ask(limits, reach)
        finally:
            turn.release()

    async def _ask(self, limits: Sequence[Limit], reach: Reach) -> Slot | Wait:
        """Ask the governor until there is a slot, or for a moment."""
        shared, deadline = limits[0], time.monotonic() + SLEPT_SECONDS
        while True:
            asked, lead = time.monotonic(), self.lead.seconds
            answer = await self._governor.reserve(limits, reach, lead)
            self._bearing.take(asked, answer.at, time.monotonic())
            # The slot's time lies between these two: it is used after the one, within what the other allows.
            ahead = answer.at + answer.wait + lead
            earliest, latest = ahead + self._bearing.least, ahead + self._bearing.most
            if answer.go:
                # Where the way to the database is longer than a slot is good for, it is stretched a little:
                # late is better than never.
                until = max(earliest + shared.late, latest + LEAST_SECONDS_LATE)
                return Slot(shared.kind, lead, latest, until)
            if answer.own or latest > deadline:
                return Wait(limits[-1 if answer.own else 0].kind, answer.wait)
            await asyncio.sleep(answer.wait)


async def _sleep_until(moment: float) -> None:
    while (left := moment - time.monotonic()) > 0:
        await asyncio.sleep(left)
