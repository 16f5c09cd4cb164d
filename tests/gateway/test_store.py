"""What gateway remembers of people and updates."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from services.gateway.domain.roles import Role
from services.gateway.store import Arrival, Arrivals, Logged, Seen, UpdateLog, Users, Wish
from shared import ids
from shared.database import Database
from shared.events import Person, RecipientForgotten, UpdateHandled, update_handled_id

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def seen(telegram_id: int, minute: int = 0, *, chat_id: int | None = None, **person: Any) -> Seen:
    """Return somebody as an event showed them, some minutes after the start."""
    return Seen(
        Person(telegram_id=telegram_id, **person), "default", chat_id,
        ids.derived("cause", telegram_id, minute), START + timedelta(minutes=minute),
    )  # fmt: skip


def line(update_id: int, **fields: Any) -> Logged:
    """Return a line of the log."""
    return Logged(
        **{
            "bot_id": 7, "update_id": update_id, "bot": "default", "kind": "message", "user_id": None,
            "chat_id": 2**50, "text": "words", "status": "received", "received_at": START, **fields,
        }
    )  # fmt: skip


def done(**fields: Any) -> UpdateHandled:
    """Return what tells that update 1 is handled."""
    return UpdateHandled(id=update_handled_id(7, 1), at=START, bot_id=7, update_id=1, **fields)


async def test_an_old_event_does_not_undo_a_newer_one(database: Database) -> None:
    """Events come in any order: names are the newest seen, the private chat stays once it is known."""
    users = Users(database)
    await users.register([seen(5, 10, first_name="New", language="de")])
    await users.register([seen(5, 5, first_name="Old", language="en")])
    row = await database.row(text("SELECT * FROM telegram_users"))
    assert row is not None
    assert (row["first_name"], row["language"], row["chat_id"]) == ("New", "de", None)
    assert row["last_seen_at"] == START + timedelta(minutes=10)
    await users.register(
        [seen(5, 11, chat_id=5, first_name="New", language="de"), seen(5, 12, first_name="New")]
    )
    user = await users.find(5)
    assert user is not None
    assert (user.chat_id, user.bot, user.language) == (5, "default", "de")


async def test_what_is_announced(database: Database) -> None:
    """Senders is told again only when what it is told is another; never over a state it was not told."""
    users = Users(database)
    await users.register([seen(5)])
    (old,) = await users.unannounced(10)
    await users.register([seen(5, 1, chat_id=5)])
    await users.mark_announced([old])
    (user,) = await users.unannounced(10)
    assert user.chat_id == 5
    await users.register([seen(5, 2, chat_id=5)])
    await users.mark_announced([user])
    assert await users.unannounced(10) == [], "who was only seen again meanwhile is not told again"
    await users.register([seen(5, 2, username="other", first_name="Other")])
    assert await users.unannounced(10) == []
    await users.register([seen(5, 3, language="fr")])
    assert len(await users.unannounced(10)) == 1


async def test_who_came_back_before_the_forgetting_was_told_begins_anew(database: Database) -> None:
    """Nothing of before the forgetting stays, what was said since does, and senders is told of them again."""
    users, log = Users(database), UpdateLog(database)
    for telegram_id in (5, 6):
        await users.register([seen(telegram_id, chat_id=telegram_id)])
        user = await users.find(telegram_id)
        assert user is not None
        await users.set_role(user, Role.ADMIN, Wish(user.cause, START + timedelta(minutes=1), 1))
        await users.set_active(user, Wish(user.cause, START + timedelta(minutes=1), 1), active=False)
        await users.register([seen(telegram_id, 10)])
        await users.choose_language(user, "de", Wish(user.cause, START + timedelta(minutes=10), 2))
        await users.mark_announced(await users.unannounced(10))
    # Of the two only the one has written to the bot privately since.
    wrote = {"user_id": ids.user_of_telegram(6), "chat_id": 6, "received_at": START + timedelta(minutes=10)}
    await log.add([line(2, **wrote)])
    for _ in range(2):  # a second delivery changes nothing
        for telegram_id in (5, 6):
            user_id = ids.user_of_telegram(telegram_id)
            at = START + timedelta(minutes=5)
            await users.forget(RecipientForgotten(id=user_id, at=at, user_id=user_id, version=2))
        again = {user.telegram_id: user for user in await users.unannounced(10)}
        assert {
            id_: (user.role, user.active, user.language, user.chat_id) for id_, user in again.items()
        } == {
            5: (Role.PUBLIC, True, "de", None),
            6: (Role.PUBLIC, True, "de", 6),
        }
    gone = RecipientForgotten(id=user_id, at=START + timedelta(minutes=10), user_id=user_id, version=3)
    await users.forget(gone)
    assert await users.find(6) is None


async def test_owners_are_those_that_settings_name(database: Database) -> None:
    """An owner named by settings is one from the first message on, and no longer when the name goes."""
    await Users(database, [5]).register([seen(5), seen(6)])
    assert [user.role for user in await Users(database, [5]).unannounced(10)].count(Role.OWNER) == 1
    found = await Users(database, [6]).find(5)
    assert found is not None
    assert found.role is Role.PUBLIC


async def test_bots_are_not_registered(database: Database) -> None:
    """Other bots of a group are nobody's users."""
    users = Users(database)
    await users.register([seen(5, is_bot=True)])
    await users.register([])
    assert await users.find(5) is None


async def test_many_at_once(database: Database) -> None:
    """The same people in several replicas, in any order, neither block each other nor become two."""
    users = Users(database)
    people = [seen(number) for number in range(300)]
    await asyncio.gather(*(users.register(each) for each in (people, people[::-1]) * 3))
    assert await database.value(text("SELECT count(*) FROM telegram_users")) == 300


async def test_somebody_new_to_several_at_once(database: Database) -> None:
    """Whoever several replicas meet in the same moment is registered by each of them, and fails none.

    The moment is short: it takes some hundred people to meet it.
    """
    users = Users(database)
    for number in range(600):
        await asyncio.gather(*(users.register([seen(number)]) for _ in range(3)))
    assert await database.value(text("SELECT count(*) FROM telegram_users")) == 600
    with pytest.raises(IntegrityError):  # a Telegram id still is one person's
        await database.execute(text("UPDATE telegram_users SET telegram_id = 1 WHERE telegram_id = 2"))


async def test_the_log_keeps_one_line_per_update(database: Database) -> None:
    """The same update again adds nothing and undoes nothing."""
    log = UpdateLog(database)
    await log.add([line(1), line(1), line(2)])
    await log.settle([done(status="handled", command="start", handling_seconds=0.5)])
    await log.add([line(1, text="other")])
    await log.settle([done(status="failed", command="help", error="x", handling_seconds=1)])
    rows = await database.rows(text("SELECT * FROM telegram_webhooks ORDER BY update_id"))
    assert [(row["status"], row["command"], row["text"]) for row in rows] == [
        ("handled", "start", "words"), ("received", None, "words"),
    ]  # fmt: skip
    assert await log.settled_among([line(1), line(2), line(1, bot_id=8)]) == {(7, 1)}


async def test_words_are_forgotten(database: Database) -> None:
    """What people wrote is kept for its time, or not at all; the line itself stays."""
    log = UpdateLog(database)
    await log.add([line(1), line(2, received_at=START + timedelta(days=2))])
    assert await log.purge_texts(START + timedelta(days=1)) == 1
    assert await log.purge_texts(START + timedelta(days=1)) == 0
    await UpdateLog(database, keeps_text=False).add([line(3)])
    rows = await database.rows(text("SELECT text FROM telegram_webhooks ORDER BY update_id"))
    assert [row["text"] for row in rows] == [None, "words", None]


async def test_an_old_event_brings_the_chat_and_no_old_names(database: Database) -> None:
    """The private chat may come late; the names stay those of the newest event."""
    users = Users(database)
    await users.register([seen(5, 10, first_name="New", username="new", language="de")])
    await users.register([seen(5, 5, chat_id=5, first_name="Old", username="old", language="en")])
    row = await database.row(text("SELECT * FROM telegram_users"))
    assert row is not None
    assert (row["first_name"], row["username"], row["language"], row["chat_id"]) == ("New", "new", "de", 5)
    assert row["last_seen_at"] == START + timedelta(minutes=10)
    await users.register([seen(5, 11, first_name="Newest")])
    row = await database.row(text("SELECT * FROM telegram_users"))
    assert row is not None
    assert (row["first_name"], row["username"], row["language"]) == ("Newest", None, "de")


async def test_whoever_is_no_owner_any_more_is_told_of(database: Database) -> None:
    """Senders hears at the next start of who was made an owner by settings, or is one no longer."""
    await Users(database).register([seen(5), seen(6), seen(7)])
    for owners, expected in (
        ([], {5: "public", 6: "public", 7: "public"}), ([5], {5: "owner"}), ([5], {}),
        ([6], {5: "public", 6: "owner"}), ([], {6: "public"}), ([], {}),
    ):  # fmt: skip
        users = Users(database, owners)
        await users.announce_owners_again()
        told = await users.unannounced(10)
        assert {user.telegram_id: user.role.word for user in told} == expected
        await users.mark_announced(told)


async def test_what_arrives_together_is_written_together(database: Database) -> None:
    """Updates of one moment take as few statements as one; what is settled is neither done nor seen again."""
    log, users = UpdateLog(database), Users(database)
    arrivals = Arrivals(log, users)
    await log.add([line(1)])
    await log.settle([done(status="handled", command="start", handling_seconds=0.5)])
    await database.value(text("SELECT 1"))
    statements: list[str] = []
    listened = (database._engine.sync_engine, "before_cursor_execute")

    def count(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    event.listen(*listened, count)
    taken = await asyncio.gather(*(arrivals.take(Arrival(line(each), seen(each))) for each in range(1, 101)))
    event.remove(*listened, count)
    assert len(statements) <= 2 * 2 + 1, "two for each group, and one where something was there before"
    assert [each.settled for each in taken] == [True] + [False] * 99
    assert [each.user and each.user.telegram_id for each in taken] == [None, *range(2, 101)]
    ignored = done(status="ignored", handling_seconds=0.1)
    settling = [ignored.model_copy(update={"update_id": each}) for each in range(1, 101)]
    await asyncio.gather(*(arrivals.settle(each) for each in settling))
    assert await log.count_since(START) == {"handled": 1, "ignored": 99}
