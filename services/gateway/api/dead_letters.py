"""Dead letters over the API: what could not be handled, seen, tried again, or given up."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Literal, Self

from aiohttp import web
from pydantic import BaseModel, Field, JsonValue, model_validator

from services.gateway.api.asking import Call, answer
from services.gateway.api.problems import Problem, invalid
from services.gateway.api.repeating import once
from services.gateway.api.requests import Strict
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from shared.bus import DeadLetter, DeadLetters

AT_ONCE = 1000
Number = Annotated[int, Field(ge=1, lt=2**63)]
Reason = Literal["unparsable", "failed", "crashed"]


class DeadLetterView(BaseModel):
    """A dead letter without what it says; `expired`: replayed, it would end as suppressed.

    `erased`: what it says is not there any more, and it cannot be replayed.
    """

    number: int
    durable: str
    event: str
    event_id: str
    subject: str
    reason: str
    error: str
    attempts: int
    replay: int
    origin: str
    trace_id: str | None
    died_at: datetime | None
    expired: bool
    erased: bool

    @classmethod
    def of(cls, letter: DeadLetter, now: datetime) -> Self:
        """Return a letter as the API shows it."""
        return cls.model_validate(
            {**vars(letter), "event_id": letter.event_key, "expired": letter.has_expired(now)}
        )


class WholeDeadLetter(DeadLetterView):
    """A dead letter with its payload: JSON, or text where it is none."""

    payload: JsonValue


class DeadLetterPage(BaseModel):
    """Dead letters, oldest first; `cursor` asks for the next page, null at the end."""

    items: tuple[DeadLetterView, ...]
    cursor: str | None = None


class ListDeadLetters(Strict):
    """Which dead letters are asked for."""

    durable: str | None = None
    reason: Reason | None = None
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None
    limit: int = Field(default=100, ge=1, le=500)


class WhichDeadLetters(Strict):
    """Which dead letters a command is about: some numbers, those of a durable or a reason, or all.

    `cursor` goes on where the last answer ended, and up to what was there at the first call: what dies again
    meanwhile is not taken twice.
    """

    numbers: Annotated[tuple[Number, ...], Field(max_length=AT_ONCE)] = ()
    durable: Annotated[str, Field(min_length=1)] | None = None
    reason: Reason | None = None
    all: bool = False
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,18}-[0-9]{1,18}$")] | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.numbers or self.durable or self.reason or self.all):
            raise ValueError("say which: numbers, durable, reason, or all")
        return self

    def means(self, letter: DeadLetter) -> bool:
        """Say whether a letter is meant."""
        return (
            (not self.numbers or letter.number in self.numbers)
            and self.durable in (None, letter.durable)
            and self.reason in (None, letter.reason)
        )


class DeadLettersDone(BaseModel):
    """The letters that are no longer open, and those of them that had expired.

    `erased` ones say nothing any more and were left as they are. With `more`, call again with `cursor`.
    """

    numbers: tuple[int, ...]
    expired: tuple[int, ...]
    erased: tuple[int, ...] = ()
    more: bool = False
    cursor: str | None = None


async def list_dead_letters(call: Call) -> web.Response:
    """Answer with a page of open dead letters, oldest first, without what they say."""
    asked, now = call.query(ListDeadLetters), call.door.now()
    which = WhichDeadLetters(durable=asked.durable or None, reason=asked.reason, all=True)
    found, more = await _some(call.door.bus.dead_letters, which, asked.limit, int(asked.cursor or 0))
    cursor = str(found[-1].number) if more else None
    return answer(DeadLetterPage(items=tuple(DeadLetterView.of(each, now) for each in found), cursor=cursor))


async def get_dead_letter(call: Call) -> web.Response:
    """Answer with a dead letter and its payload, which may hold what people wrote."""
    letter = await _letter(call)
    view = DeadLetterView.of(letter, call.door.now())
    return answer(WholeDeadLetter(**view.model_dump(), payload=letter.said()))


async def replay_dead_letter(call: Call) -> web.Response:
    """Publish a dead letter again, under its own event id; an expired one ends as suppressed."""
    letter = await _letter(call)
    if letter.erased:
        raise Problem(409, "Erased", "what the dead letter says is not there any more; it can be discarded")
    await call.door.bus.dead_letters.replay(letter)
    return answer(_done(letter, call.door.now()))


async def discard_dead_letter(call: Call) -> web.Response:
    """Give a dead letter up for good; the audit accounts for it."""
    letter = await _letter(call)
    await call.door.bus.dead_letters.discard(letter)
    return answer(_done(letter, call.door.now()))


async def replay_dead_letters(call: Call) -> web.Response:
    """Publish dead letters again, up to 1,000 at a time; those that had expired end as suppressed."""
    return answer(await _each(call, replays=True))


async def discard_dead_letters(call: Call) -> web.Response:
    """Give dead letters up for good, up to 1,000 at a time."""
    return answer(await _each(call, replays=False))


async def _letter(call: Call) -> DeadLetter:
    letter = await call.door.bus.dead_letters.get(call.named["number"])
    if letter is None:
        raise Problem(404, "Not found", "there is no such dead letter")
    return letter


async def _each(call: Call, *, replays: bool) -> DeadLettersDone:
    """Replay or discard what a command is about, one after the other: payloads may be large, and many."""
    which, letters, now = await call.read(WhichDeadLetters), call.door.bus.dead_letters, call.door.now()
    after, up_to = map(int, which.cursor.split("-")) if which.cursor else (0, await letters.last())
    numbers: list[int] = []
    expired: list[int] = []
    erased: list[int] = []
    cursor = None
    async for letter in _named(letters, which) if which.numbers else letters.all(after, up_to):
        if not which.means(letter):
            continue
        if len(numbers) + len(erased) == AT_ONCE:
            cursor = f"{after}-{up_to}"
            break
        after = letter.number
        if letter.erased and replays:
            erased.append(after)
            continue
        await (letters.replay(letter) if replays else letters.discard(letter))
        numbers.append(after)
        expired += [after] if letter.has_expired(now) else []
    return DeadLettersDone(
        numbers=tuple(numbers), expired=tuple(expired), erased=tuple(erased), more=cursor is not None,
        cursor=cursor,
    )  # fmt: skip


async def _named(letters: DeadLetters, which: WhichDeadLetters) -> AsyncIterator[DeadLetter]:
    """Yield the letters of some numbers, once it is known that all are there."""
    numbers = sorted(set(which.numbers))
    missing = [number for number in numbers if await letters.get(number) is None]
    if missing and not (which.durable or which.reason):
        named = ", ".join(map(str, missing[:20]))
        raise invalid([{"field": "numbers", "message": f"there is no dead letter {named}"}])
    for number in numbers:
        if (letter := await letters.get(number)) is not None:
            yield letter


async def _some(
    letters: DeadLetters, which: WhichDeadLetters, limit: int, after: int = 0
) -> tuple[list[DeadLetter], bool]:
    """Return up to `limit` letters that are meant, and whether there are more."""
    found: list[DeadLetter] = []
    async for letter in letters.all(after):
        if which.means(letter):
            if len(found) == limit:
                return found, True
            found.append(letter)
    return found, False


def _done(letter: DeadLetter, now: datetime) -> DeadLettersDone:
    expired = (letter.number,) if letter.has_expired(now) else ()
    return DeadLettersDone(numbers=(letter.number,), expired=expired)


ROUTES = (
    Route(
        "GET", "/dead-letters", KeyRole.ADMIN, list_dead_letters, {200: DeadLetterPage}, query=ListDeadLetters
    ),
    Route("GET", "/dead-letters/{number}", KeyRole.OWNER, get_dead_letter, {200: WholeDeadLetter}),
    Route(
        "DELETE", "/dead-letters/{number}", KeyRole.OWNER, once(discard_dead_letter), {200: DeadLettersDone}
    ),
    Route(
        "POST",
        "/dead-letters/{number}/replay",
        KeyRole.OWNER,
        once(replay_dead_letter),
        {200: DeadLettersDone},
        refuses=(409,),
    ),
    Route(
        "POST",
        "/dead-letters/replay",
        KeyRole.OWNER,
        once(replay_dead_letters),
        {200: DeadLettersDone},
        body=WhichDeadLetters,
    ),
    Route(
        "POST",
        "/dead-letters/discard",
        KeyRole.OWNER,
        once(discard_dead_letters),
        {200: DeadLettersDone},
        body=WhichDeadLetters,
    ),
)
