"""The books: what the streams say and what the tables say, put side by side."""

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from carillon.audit.streams import Said, listen
from carillon.audit.tables import Kept, look
from carillon.system import System
from shared.bus import Bus
from shared.events import State

ANNOUNCE_SECONDS = 10.0


@dataclass(frozen=True)
class Line:
    """One sum, from both sides; `difference` counts the ids that one side has and the other has not."""

    name: str
    stream: int
    tables: int
    difference: int
    note: str


@dataclass
class Audit:
    """A finished audit; `late` are durables that did not pass the cut in time."""

    lines: list[Line] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    messages: dict[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Say whether nothing is unaccounted for."""
        return not self.late and all(line.difference == 0 for line in self.lines)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON would say it."""
        return {**asdict(self), "balanced": self.balanced}

    def compare(
        self,
        name: str,
        expected: Collection[str],
        found: Collection[str],
        *,
        excused: Collection[str] = (),
        known: Collection[str] = (),
    ) -> None:
        """Add a line: `excused` need not be in the tables (dead letters), `known` may be (after the cut)."""
        missing = set(expected) - set(found) - set(excused)
        surplus = set(found) - set(expected) - set(known)
        examples = ", ".join(sorted(missing | surplus)[:3])
        note = f"{len(missing)} not in the tables, {len(surplus)} not in the stream: {examples}"
        self.lines.append(Line(name, len(set(expected)), len(set(found)), len(missing) + len(surplus), note))


async def audit(system: System, bus: Bus, *, wait_seconds: float = 30.0) -> Audit:
    """Take a cut, wait until every durable has passed it, and compare; runs while the system works."""
    done = Audit()
    cut = await bus.streams.cut()
    done.late = await bus.streams.wait_for_durables(cut, seconds=wait_seconds)
    said = await listen(bus, cut)
    kept = await look(system, announce_seconds=ANNOUNCE_SECONDS)
    later = await listen(bus, await bus.streams.cut())
    _compare(done, said, kept, later)
    return done


def _compare(done: Audit, said: Said, kept: Kept, later: Said) -> None:
    done.compare(
        "clicks", said.presses, kept.clicks, excused=later.dead("clicks_presses"), known=later.presses
    )
    done.compare(
        "updates received", said.updates, kept.updates,
        excused=later.dead("gateway_updates") | later.dead("gateway_presses"), known=later.updates,
    )  # fmt: skip
    dead = later.dead_of("senders_")
    done.compare("messages requested", said.messages, kept.messages, excused=dead, known=later.messages)
    done.compare("outcomes told", later.outcomes & kept.outcomes, kept.outcomes)
    done.compare("deliveries told of", said.deliveries, said.deliveries & kept.deliveries)
    done.compare(
        "promo log", said.promos_due, kept.promo_log,
        excused=later.dead("scheduler_promos"), known=later.promos_due,
    )  # fmt: skip
    for state in (State.SENT, State.FAILED, State.SUPPRESSED, State.AMBIGUOUS):
        # What changes between the two readings (a press that settles, a retry) is known to the later one.
        then, now = said.promo_states.get(state, set()), later.promo_states.get(state, set())
        logged = kept.promo_states.get(state, set())
        done.compare(f"promo log: {state}", then & now, logged, known=then | now)
    done.compare("campaign items", kept.campaign_items, kept.campaign_messages, excused=kept.campaign_queued)
    done.lost = sorted(set(said.messages) - kept.accounted - dead)
    done.lines.append(
        Line(
            "lost", len(said.messages), len(set(said.messages) - set(done.lost)), len(done.lost),
            "neither an outcome nor pending nor a dead letter: " + ", ".join(done.lost[:3]),
        )
    )  # fmt: skip
    done.lines.append(Line("broker gave up on", said.advisories, 0, said.advisories, "look at ADVISORIES"))
    done.messages = dict(Counter(kept.message_states.values()))
    done.dead_letters = later.dead_letters
