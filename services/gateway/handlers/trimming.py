"""Trimming the streams every day, by one replica, wherever everybody has read and the books balance."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from shared import metrics, telemetry
from shared.bus import Bus, BusUnavailable, NoAnswer, Refusal
from shared.database import Database
from shared.record.ages import Ages
from shared.record.trimmed import cuts
from shared.record.trimming import Plan, Unbalanced, trim

LOOK_SECONDS = 3600.0
ONCE_IN = timedelta(hours=23)
REFUSED_SECONDS = 6 * 3600.0

log = telemetry.logger(__name__)


class Trimmer:
    """Trims the streams by age."""

    def __init__(self, database: Database, bus: Bus, ages: Ages, now: Callable[[], datetime]) -> None:
        self._database = database
        self._bus = bus
        self._ages = ages
        self._now = now

    async def run(self) -> None:
        """Look every hour, from an hour on, and trim once a day, until cancelled."""
        seconds = LOOK_SECONDS
        while True:
            await asyncio.sleep(seconds)
            seconds = LOOK_SECONDS if await self.settle() else REFUSED_SECONDS

    async def settle(self) -> bool:
        """Trim, unless another replica does or it was done today; say whether nothing stood in the way."""
        async with self._database.lock("trim the streams") as lock:
            if lock is None or await self._done_today():
                return True
            try:
                done = await trim(self._bus, self._ages, self._now())
            except Unbalanced as problem:
                metrics.STREAM_TRIMS.labels(outcome="refused").inc()
                log.error("trim_refused", lines=str(problem))
            except (NoAnswer, Refusal, BusUnavailable) as problem:
                metrics.STREAM_TRIMS.labels(outcome="put_off").inc()
                log.warning("trim_put_off", why=type(problem).__name__)
            else:
                metrics.STREAM_TRIMS.labels(outcome="done").inc()
                _tell(done)
                return True
            return False

    async def _done_today(self) -> bool:
        newest = max((cut.trimmed_at for cut in (await cuts(self._database)).values()), default=None)
        return newest is not None and self._now() - newest < ONCE_IN


def _tell(done: Plan) -> None:
    """Tell the log and the metrics what went, and what holds the rest back."""
    if counts := {part.stream: part.trimmed for part in done.parts if part.trimmed}:
        log.info("streams_trimmed", **counts)
    for part in done.parts:
        metrics.STREAM_TRIMMED.labels(stream=part.stream).inc(part.trimmed)
        metrics.STREAM_HELD.labels(stream=part.stream).set(len(part.held_by))
        if part.held_by:
            log.warning("trim_held_back", stream=part.stream, by=", ".join(part.held_by))
