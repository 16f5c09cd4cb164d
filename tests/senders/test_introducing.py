"""People whom the bots have met, put into the directory many at a time: as if each was put by himself."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event as engine_event
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.senders import api
from services.senders.store import AlreadyLinked, Recipients
from shared.database import Database
from shared.events import RecipientChanged
from shared.ids import derived, user_of_telegram
from shared.queries import (
    ForgetRecipient,
    Introduced,
    IntroduceRecipients,
    Introduction,
    LinkUser,
    PutRecipient,
    UnlinkUser,
)
from tests.senders.conftest import FreshDatabase

BEFORE, AFTER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)
WRONG = "\0"
"""A text that PostgreSQL does not take."""
KNOWN = text("""
    SELECT user_id, version, telegram_chat_id, bot, language, role, opted_out, muted, email, linked_to,
           telegram_id
    FROM recipients ORDER BY user_id""")


def met(telegram_id: int, **fields: Any) -> Introduction:
    """Return somebody whom a bot has met, with a cause of its own."""
    plain = {"cause": uuid4(), "user_id": user_of_telegram(telegram_id), "telegram_chat_id": telegram_id,
             "bot": "default", "language": "en", "role": "PUBLIC", "at": datetime.now(UTC)}  # fmt: skip
    return Introduction.model_validate(plain | fields)


async def introduce(house: Any, *people: Introduction) -> Sequence[Introduced]:
    """Let senders answer an IntroduceRecipients."""
    command = IntroduceRecipients(people=people)
    told = house.desk.announcer.recipients
    return (await api.introduce_recipients(command, house.recipients, told)).items


async def one_by_one(recipients: Recipients, people: Sequence[Introduction]) -> list[str]:
    """Put people as they were put before there was a question for many."""
    found = []
    for each in people:
        try:
            await recipients.put(PutRecipient.model_validate(each.model_dump()))
            found.append("taken")
        except DBAPIError:
            found.append("wrong")
    return found


async def state_of(database: Database) -> tuple[Any, ...]:
    """Return what a directory knows: people, which commands are done, who is forgotten."""
    people = [tuple(row.values()) for row in await database.rows(KNOWN)]
    done = [row["id"] for row in await database.rows(text("SELECT id FROM commands_done ORDER BY id"))]
    forgotten = await database.rows(
        text("SELECT user_id, version FROM forgotten_recipients ORDER BY user_id")
    )
    return people, done, [tuple(row.values()) for row in forgotten]


def batch(chance: Random, before: list[Introduction]) -> list[Introduction]:
    """Return some people, among them some who come twice, again by the same cause, or with nonsense."""
    people = []
    for number in range(chance.randint(1, 12)):
        if before and chance.random() < 0.2:
            people.append(chance.choice(before))
            continue
        people.append(
            met(
                telegram_id := chance.randint(1, 8),
                cause=derived("test", chance.random(), number),
                telegram_chat_id=chance.choice([None, telegram_id]),
                bot=chance.choice([None, "default", "other"]),
                language=chance.choice([None, "en", "es"]),
                role=chance.choice(
                    [None, "PUBLIC", "SUBSCRIBER", *([WRONG] if chance.random() < 0.2 else [])]
                ),
                at=chance.choice([None, BEFORE, AFTER]),
            )
        )
    before += people
    return people


def something_else(chance: Random) -> Any:
    """Return another command about these people, as a function of a directory."""
    cause, telegram_id = derived("test", chance.random()), chance.randint(1, 8)
    user_id = chance.choice([user_of_telegram(telegram_id), derived("user", telegram_id % 3)])
    link = LinkUser(cause=cause, user_id=derived("user", telegram_id % 3), telegram_id=telegram_id)
    return chance.choice(
        [
            lambda recipients: recipients.link(link),
            lambda recipients: recipients.link(link),
            lambda recipients: recipients.unlink(UnlinkUser(cause=cause, user_id=user_id)),
            lambda recipients: recipients.forget(ForgetRecipient(cause=cause, user_id=user_id), cause),
        ]
    )


@pytest.mark.parametrize("seed", range(8))
async def test_introducing_many_is_introducing_each(
    database: Database, fresh_database: FreshDatabase, seed: int
) -> None:
    """Whoever is linked, forgotten, told of before or nonsense: the directory is as if each was put alone."""
    chance, before = Random(seed), list[Introduction]()  # noqa: S311 - nothing secret
    async with Database.open(await fresh_database("senders")) as other:
        many, single = Recipients(database), Recipients(other)
        for _ in range(8):
            people = batch(chance, before)
            assert await many.introduce(people) == await one_by_one(single, people)
            assert await state_of(database) == await state_of(other)
            command = something_else(chance)
            for each in (many, single):
                try:
                    await command(each)
                except AlreadyLinked:
                    continue
            assert await state_of(database) == await state_of(other)


async def test_many_are_told_once_each(house: Any) -> None:
    """A hundred are known and published by one question; whoever asks again changes and publishes nothing."""
    people = [met(number) for number in range(1, 101)]
    for _ in range(2):
        items = await introduce(house, *people)
        assert [(each.user_id, each.status) for each in items] == [(each.user_id, 200) for each in people]
    # After a crash of gateway they are told of again, by another cause.
    await introduce(house, *(met(number) for number in range(1, 101)))
    assert sorted((each.user_id, each.version) for each in house.of(RecipientChanged)) == sorted(
        (each.user_id, 1) for each in people
    )


async def test_many_take_no_more_statements_than_one(house: Any) -> None:
    """A crowd of strangers costs the database as many statements as one of them."""
    asked: list[str] = []
    engine = house.database._engine.sync_engine
    engine_event.listen(engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    await house.recipients.introduce([met(1)])
    alone = len(asked)
    await house.recipients.introduce([met(number) for number in range(2, 102)])
    assert len(asked) == 2 * alone
    assert alone <= 2


async def test_one_that_cannot_be_kept_refuses_no_other(house: Any) -> None:
    """Of a hundred with one that PostgreSQL does not take, that one is refused for ever by its title."""
    people = [met(1), met(2, role=WRONG), met(3)]
    items = await introduce(house, *people)
    assert [each.status for each in items] == [200, 422, 200]
    assert items[1].title == "Cannot be kept"
    assert {event.user_id for event in house.of(RecipientChanged)} == {people[0].user_id, people[2].user_id}


async def test_who_is_being_changed_holds_up_no_other(house: Any) -> None:
    """Whoever somebody else is at for long may be taken later; the others are taken at once."""
    people = [met(1), met(2), met(3)]
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(CAST(:id AS uuid) AS text), 0))")
    async with house.database.begin() as holding:
        await holding.execute(lock, {"id": people[1].user_id})
        items = await asyncio.wait_for(introduce(house, *people), 5)
        assert [each.status for each in items] == [200, 503, 200]
    assert [each.status for each in await introduce(house, *people)] == [200, 200, 200]
    assert {event.version for event in house.of(RecipientChanged)} == {1}


async def test_two_replicas_with_the_same_people_wait_for_each_other(database: Database, house: Any) -> None:
    """Two that introduce overlapping crowds at once, in any order, neither deadlock nor make two versions."""
    chance = Random(1)  # noqa: S311 - nothing secret
    url = database._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with Database.open(url) as other:
        replicas = [Recipients(database), Recipients(other)]

        async def work(recipients: Recipients, first: int) -> list[str]:
            people = [met(number) for number in range(first, first + 60)]
            chance.shuffle(people)
            return list(await recipients.introduce(people))

        for start in range(0, 2000, 200):
            answers = await asyncio.gather(
                *(work(replicas[number % 2], start + 20 * number) for number in range(4))
            )
            assert {each for answer in answers for each in answer} == {"taken"}
    rows = await database.rows(text("SELECT version, count(*) AS people FROM recipients GROUP BY version"))
    assert [(row["version"], row["people"]) for row in rows] == [(1, 10 * 120)]


async def test_crowds_and_single_commands_side_by_side(house: Any) -> None:
    """Linking, parting, forgetting and crowds wait for each other: none fails, and nobody is half there."""
    chance, recipients = Random(7), house.recipients  # noqa: S311 - nothing secret
    people = [user_of_telegram(number) for number in range(1, 6)]

    def command() -> Any:
        cause, number = uuid4(), chance.randint(1, 5)
        user_id: UUID = chance.choice([people[number - 1], derived("user", number)])
        crowd = [met(each) for each in chance.sample(range(1, 30), 20)]
        return chance.choice(
            [
                lambda: recipients.link(
                    LinkUser(cause=cause, user_id=derived("user", number), telegram_id=number)
                ),
                lambda: recipients.unlink(UnlinkUser(cause=cause, user_id=user_id)),
                lambda: recipients.forget(ForgetRecipient(cause=cause, user_id=user_id), uuid4()),
                lambda: recipients.introduce(crowd),
                lambda: recipients.introduce(crowd),
            ]
        )()

    async def work() -> None:
        for _ in range(25):
            try:
                await command()
            except AlreadyLinked:
                continue

    await asyncio.gather(*(work() for _ in range(8)))
    assert set(await recipients.introduce([met(number) for number in range(1, 30)])) == {"taken"}
    assert all([await recipients.view(each) for each in people])
