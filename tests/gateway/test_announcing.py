"""Telling senders of those whom the bots have met, many by one question."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.gateway.handlers.announcing import Announcer
from services.gateway.store import Seen, Users
from shared import ids
from shared.bus import Bus, Refusal
from shared.database import Database
from shared.events import Person
from shared.queries import INTRODUCED_AT_ONCE, Introduced, IntroduceRecipients, Introductions
from tests.gateway.conftest import Peers
from tests.locks import free_behind_first

CROWD = INTRODUCED_AT_ONCE + 20
BAD = ids.user_of_telegram(7)


@pytest.fixture
async def senders(bus: Bus) -> AsyncIterator[Peers]:
    """Open a senders that answers nothing yet."""
    async with AsyncExitStack() as stack:
        yield Peers(bus, stack=stack)


@pytest.fixture
async def users(database: Database) -> Users:
    """Return the people that the bots have met: a crowd of strangers."""
    users = Users(database)
    now = datetime.now(UTC)
    await users.register(
        [Seen(Person(telegram_id=number), "default", number, uuid4(), now) for number in range(1, CROWD + 1)]
    )
    return users


def answering(**statuses: Any) -> Any:
    """Return what takes everybody but the bad one, who gets this answer."""

    def answer(command: IntroduceRecipients) -> Introductions:
        return Introductions(
            items=tuple(
                Introduced(user_id=each.user_id, **(statuses if each.user_id == BAD else {}))
                for each in command.people
            )
        )

    return answer


async def left(users: Users) -> set[UUID]:
    """Return whom senders has not been told of."""
    return {user.id for user in await users.unannounced(CROWD)}


async def test_a_crowd_is_told_of_by_few_questions(bus: Bus, users: Users, senders: Peers) -> None:
    """One question is about as many people as it may be about, and nobody is told of twice."""
    await senders.answer(IntroduceRecipients, answering())
    assert await Announcer(users, bus).announce()
    questions = senders.of(IntroduceRecipients)
    assert [len(each.people) for each in questions] == [INTRODUCED_AT_ONCE, 20]
    assert len({person.user_id for each in questions for person in each.people}) == CROWD
    assert not await left(users)


async def test_nobody_is_told_of_while_senders_is_away(bus: Bus, users: Users, senders: Peers) -> None:
    """A senders that does not listen, also for being older than the question, is told of everybody later."""
    announcer = Announcer(users, bus)
    assert not await announcer.announce()
    assert len(await left(users)) == CROWD

    def unavailable(_: Any) -> None:
        raise Refusal(503, "Service unavailable")

    await senders.answer(IntroduceRecipients, unavailable)
    assert not await announcer.announce()
    assert len(await left(users)) == CROWD


async def test_who_is_taken_later_is_told_of_again(bus: Bus, users: Users, senders: Peers) -> None:
    """One whom senders does not take for now holds up nobody, and stays to be told of."""
    await senders.answer(IntroduceRecipients, answering(status=503, title="Being changed by others"))
    assert not await Announcer(users, bus).announce()
    assert await left(users) == {BAD}


async def test_who_would_be_refused_for_ever_is_not_told_of_again(
    bus: Bus, users: Users, senders: Peers
) -> None:
    """One whom senders cannot keep is asked for once."""
    await senders.answer(IntroduceRecipients, answering(status=422, title="Cannot be kept"))
    assert await Announcer(users, bus).announce()
    assert not await left(users)
    assert len(senders.of(IntroduceRecipients)) == 2


async def test_a_question_that_is_refused_whole_is_asked_about_fewer(
    bus: Bus, users: Users, senders: Peers
) -> None:
    """Where senders cannot read a question for one person in it, all the others are taken."""
    taken: set[UUID] = set()

    def answer(command: IntroduceRecipients) -> Introductions:
        named = {each.user_id for each in command.people}
        if BAD in named:
            raise Refusal(422, "Invalid question")
        taken.update(named)
        return Introductions(items=tuple(Introduced(user_id=each.user_id) for each in command.people))

    await senders.answer(IntroduceRecipients, answer)
    assert await Announcer(users, bus).announce()
    assert not await left(users)
    assert len(taken) == CROWD - 1
    assert BAD not in taken
    assert len(senders.of(IntroduceRecipients)) <= 20


@pytest.mark.parametrize("again", [False, True], ids=["they are told of", "they are owners now"])
async def test_who_is_noted_and_who_is_seen_again_is_locked_in_one_order(
    database: Database, users: Users, again: bool
) -> None:
    """While a crowd writes to the bot, noting who of it was told of waits, and never in a circle."""
    owning = Users(database, range(1, CROWD + 1))
    told = await users.unannounced(CROWD)

    async def note() -> None:
        await (owning.announce_owners_again() if again else users.mark_announced(told[::-1]))

    assert await free_behind_first(database, "telegram_users", "id", note) == CROWD - 1
