"""An audit: a cut through all streams, every durable past it, and each service's books up to it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from shared.bus import Bus, NoAnswer, Refusal
from shared.queries import AuditClicks, AuditGateway, AuditLine, AuditScheduler, AuditSenders, Books, Query

ASK_SECONDS = 600.0
"""Books of many millions of events take minutes."""
QUESTIONS: tuple[type[AuditScheduler | AuditClicks | AuditSenders | AuditGateway], ...] = (
    AuditScheduler, AuditClicks, AuditSenders, AuditGateway,
)  # fmt: skip

Ask = Callable[[Query[Books]], Awaitable[Books]]


@dataclass
class Audit:
    """A finished audit.

    `late` are durables that did not pass the cut in time, `silent` services that did not answer, `messages`
    the messages by state, `lost` examples of those that nobody can account for.
    """

    lines: list[AuditLine] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    messages: dict[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Say whether nothing is unaccounted for."""
        return not (self.late or self.silent) and all(line.difference == 0 for line in self.lines)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON would say it."""
        lines = [line.model_dump() for line in self.lines]
        return {**asdict(self), "lines": lines, "balanced": self.balanced}


async def audit(
    bus: Bus,
    *,
    wait_seconds: float = 30.0,
    ask: Ask | None = None,
    passed: Mapping[str, int] | None = None,
) -> Audit:
    """Take a cut, wait until every durable has passed it, and compare; runs while the system works.

    What differs is looked at once more, with a cut of its own: it may have been on its way. `passed` is a
    cut that every durable is known to have passed.
    """
    done = await _audit(bus, wait_seconds, ask, passed)
    if not done.balanced and not (done.late or done.silent):
        return await _audit(bus, wait_seconds, ask, passed)
    return done


async def _audit(bus: Bus, wait_seconds: float, ask: Ask | None, passed: Mapping[str, int] | None) -> Audit:
    cut = dict(passed) if passed else await bus.streams.cut()
    done = Audit(late=[] if passed else await bus.streams.wait_for_durables(cut, seconds=wait_seconds))
    books = await asyncio.gather(*(_books(bus, question(cut=cut), ask) for question in QUESTIONS))
    for question, answer in zip(QUESTIONS, books, strict=True):
        if answer is None:
            done.silent.append(question.service)
        else:
            done.lines.extend(answer.lines)
    _summarise(done)
    done.dead_letters = await bus.streams.count("DLQ")
    given_up = await bus.streams.count("ADVISORIES")
    done.lines.append(
        AuditLine(
            name="broker gave up on", stream=given_up, tables=0, difference=given_up,
            note="look at ADVISORIES" if given_up else "",
        )
    )  # fmt: skip
    return done


async def _books(bus: Bus, question: Query[Books], ask: Ask | None) -> Books | None:
    try:
        return await (ask(question) if ask else bus.ask(question, timeout=ASK_SECONDS))
    except (NoAnswer, Refusal):
        return None


def _summarise(done: Audit) -> None:
    for line in done.lines:
        name, _, state = line.name.partition(": ")
        if name == "messages" and state:
            done.messages[state] = line.tables
        if name in ("messages requested", "messages lost") and line.difference:
            done.lost.append(line.note)
