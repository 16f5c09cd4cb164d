"""Trimming the streams: what everybody has read and written down goes, once it is old enough.

Every service writes down what it needs (keeping.py) before anything goes, piece by piece, so that neither
memory nor time grows with the streams. A crash at any place leaves events that are kept twice, never none:
trimming again goes on from there.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from shared.bus import Bus, as_unavailable
from shared.failpoints import passing
from shared.queries import KeepClicks, KeepGateway, KeepScheduler, KeepSenders, Kept
from shared.record.ages import Ages
from shared.record.auditing import Ask, Audit, audit
from shared.record.keeping import Keep
from shared.record.ordering import put_behind
from shared.topology import TRIMMED

PIECE = 20_000
"""So many events of each stream go at a time."""
KEEP_SECONDS = 600.0
QUESTIONS: tuple[type[Keep], ...] = (KeepScheduler, KeepClicks, KeepSenders, KeepGateway)

AskToKeep = Callable[[Keep], Awaitable[Kept]]


class Unbalanced(Exception):
    """An audit found something that is unaccounted for: the events may be what it takes to find out."""

    def __init__(self, done: Audit) -> None:
        super().__init__(", ".join(line.name for line in done.lines if line.difference) or "not answered")
        self.audit = done


@dataclass
class Part:
    """What may go of a stream: from `first` up to `cut`, stored by `before`; `held_by` holds more back."""

    stream: str
    first: int
    cut: int
    before: datetime | None = None
    held_by: tuple[str, ...] = ()
    trimmed: int = 0

    @property
    def events(self) -> int:
        """How many events may go, at most."""
        return max(0, self.cut - self.first + 1)


@dataclass(frozen=True)
class Plan:
    """What may go, and what every durable has passed, whatever its age."""

    parts: list[Part]
    passed: dict[str, int] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """How many events may go, at most."""
        return sum(part.events for part in self.parts)


async def plan(bus: Bus, ages: Ages, now: datetime) -> Plan:
    """Find out what may go: old enough, read by everybody, and needed by no dead letter."""
    with as_unavailable():
        return await _plan(bus, ages, now)


async def _plan(bus: Bus, ages: Ages, now: datetime) -> Plan:
    # In this order: what comes later is neither passed nor old.
    last = await bus.streams.cut()
    progress = await bus.streams.progress()
    readers = {stream: await bus.trims.readers(stream) for stream in TRIMMED}
    needed = await bus.trims.needed()
    limits = ages.limits(now)
    found = Plan([], dict(last))
    for stream in TRIMMED:
        held = {
            each.durable.name: each.floor
            for each in progress
            if each.durable.stream == stream and not each.has_passed(last[stream])
        }
        held |= {
            each.name: each.floor for each in readers[stream] if each.waiting and each.floor < last[stream]
        }
        if stream in needed:
            held["a dead letter"] = needed[stream] - 1
        found.passed[stream] = min([last[stream], *held.values()])
        found.parts.append(await _part(bus, stream, limits.get(stream), last[stream], held))
    return found


async def _part(bus: Bus, stream: str, limit: datetime | None, last: int, held: dict[str, int]) -> Part:
    first = await bus.trims.first(stream)
    old = await bus.trims.older_than(stream, limit, last=last) if limit else first - 1
    cut = min([old, *held.values()])
    part = Part(stream, first, cut, held_by=tuple(sorted(name for name, at in held.items() if at < old)))
    if part.events:
        part.before = await bus.trims.stored_at(stream, cut) or limit
    return part


async def trim(
    bus: Bus,
    ages: Ages,
    now: datetime,
    *,
    books: Ask | None = None,
    keep: AskToKeep | None = None,
    progress: Callable[[int], None] = lambda _: None,
    piece: int = PIECE,
) -> Plan:
    """Trim the streams; return what has gone of each.

    Raises Unbalanced, before anything has gone; Refusal or NoAnswer where a service does not write down what
    it needs, and BusUnavailable: then what is left goes the next time.
    """
    made = await plan(bus, ages, now)
    if not made.events:
        return made
    with as_unavailable():
        # Whoever stored an update anew may have died over it.
        await put_behind(bus)
        done = await audit(bus, ask=books, passed=made.passed)
    if not done.balanced:
        raise Unbalanced(done)

    async def ask(question: Keep) -> Kept:
        return await bus.ask(question, timeout=KEEP_SECONDS)

    parts = {part.stream: part for part in made.parts if part.events}
    with as_unavailable():
        for cut in _pieces(list(parts.values()), piece):
            await _trim(bus, parts, cut, keep or ask, progress)
    passing("after_purge")
    return made


async def _trim(
    bus: Bus, parts: dict[str, Part], cut: dict[str, int], keep: AskToKeep, progress: Callable[[int], None]
) -> None:
    before = {stream: at for stream in cut if (at := parts[stream].before) is not None}
    passing("before_kept")
    for question in QUESTIONS:
        kept = await keep(question(cut=cut, before=before))
        cut = {stream: min(sequence, kept.cut.get(stream, 0)) for stream, sequence in cut.items()}
        passing("between_kept")
    passing("before_purge")
    for stream, sequence in cut.items():
        purged = await bus.trims.purge(stream, sequence)
        parts[stream].trimmed += purged
        progress(purged)
        passing("between_purges")


def _pieces(parts: list[Part], size: int) -> Iterator[dict[str, int]]:
    """Yield cuts up to the last one, each so many sequences further in every stream that is to be trimmed."""
    reached = {part.stream: part.first - 1 for part in parts}
    while left := [part for part in parts if reached[part.stream] < part.cut]:
        cut = {part.stream: min(part.cut, reached[part.stream] + size) for part in left}
        reached |= cut
        yield cut
