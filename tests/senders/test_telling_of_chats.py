"""What Telegram told of chats: taken many at a time, and as if one by one."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event as engine_event
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.senders.store import Recipients
from shared.database import Database
from shared.events import Channel
from shared.queries import TellChat
from tests.senders.conftest import FreshDatabase

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOLD = text("""
    SELECT bot, chat_id, change, told_at, place, cause, announced FROM chats_told ORDER BY bot, chat_id""")
HELD_BACK = text(
    "SELECT channel, address, origin, reason FROM suppressions ORDER BY channel, address, origin"
)


def told(change: str, chat_id: int = 42, order: int = 0, **fields: Any) -> TellChat:
    """Return what Telegram tells of a chat; what has a later order is a little later."""
    plain = {"cause": uuid4(), "bot": "default", "chat_id": chat_id, "change": change,
             "at": NOON + timedelta(seconds=order // 4), "order": order}  # fmt: skip
    return TellChat.model_validate(plain | fields)


async def state_of(database: Database) -> list[tuple[Any, ...]]:
    """Return what is known of chats, and what is held back."""
    return [tuple(row.values()) for each in (TOLD, HELD_BACK) for row in await database.rows(each)]


@pytest.mark.parametrize("seed", range(6))
async def test_telling_of_many_is_telling_of_each(
    database: Database, fresh_database: FreshDatabase, seed: int
) -> None:
    """In any company, late and twice: chats and suppressions are as if each was told of by itself."""
    chance = Random(seed)  # noqa: S311 - nothing secret
    async with Database.open(await fresh_database("senders")) as other:
        many, single = Recipients(database), Recipients(other)
        commands: list[TellChat] = []
        for recipients in (many, single):
            for chat_id in range(1, 6):
                await recipients.suppress(Channel.TELEGRAM, f"default:{chat_id}", "blocked")
        for _ in range(6):
            changes = ("blocked", "unblocked", "kicked", "added")
            commands += [
                told(
                    chance.choice(changes), chat_id, chance.randrange(40), bot=chance.choice(["default", "b"])
                )
                for chat_id in range(1, 12)
            ]
            # One about each chat: of two the order would decide.
            batch = {
                (each.bot, each.chat_id): each for each in chance.sample(commands, min(len(commands), 30))
            }
            together = await asyncio.gather(*(many.tell_chat(each) for each in batch.values()))
            assert list(together) == [await single.tell_chat(each) for each in batch.values()]
            assert await state_of(database) == await state_of(other)


async def test_the_newest_counts_whoever_tells_of_it_when(database: Database) -> None:
    """Two replicas that are told of the same chats at once, in any order, end with what was told last."""
    chance = Random(3)  # noqa: S311 - nothing secret
    url = database._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with Database.open(url) as other:
        replicas = (Recipients(database), Recipients(other))
        for first in range(0, 400, 40):
            chats = range(first, first + 40)
            commands = [
                told(chance.choice(["blocked", "unblocked", "kicked"]), chat_id, order)
                for chat_id in chats
                for order in range(6)
            ]
            newest = {each.chat_id: each.change for each in commands if each.order == 5}
            chance.shuffle(commands)
            await asyncio.gather(
                *(replica.tell_chat(each) for each in commands for replica in chance.sample(replicas, 2))
            )
            for chat_id in chats:
                _, reason = await replicas[0].chat_now("default", chat_id)
                assert reason == (None if newest[chat_id] == "unblocked" else newest[chat_id])


async def test_what_is_known_is_only_read(house: Any) -> None:
    """What came before, or is older, costs one question to the database, for all together."""
    commands = [told("blocked", chat_id, 1) for chat_id in range(100)]
    assert all(await asyncio.gather(*(house.recipients.tell_chat(each) for each in commands)))
    asked: list[str] = []
    engine = house.database._engine.sync_engine
    engine_event.listen(engine, "before_cursor_execute", lambda *call: asked.append(call[2].split()[0]))
    late = [*commands[:50], *(told("unblocked", chat_id, 0) for chat_id in range(50, 100))]
    assert not any(await asyncio.gather(*(house.recipients.tell_chat(each) for each in late)))
    assert asked == ["SELECT"]


async def test_what_cannot_be_kept_of_one_chat_refuses_no_other(house: Any) -> None:
    """One who names a bot that PostgreSQL does not take fails alone."""
    commands = [told("blocked", 1), told("blocked", 2, bot="\0"), told("kicked", 3)]
    found = await asyncio.gather(
        *(house.recipients.tell_chat(each) for each in commands), return_exceptions=True
    )
    assert [found[0], found[2]] == [True, True]
    assert isinstance(found[1], DBAPIError)
    assert await house.recipients.chat_now("default", 3) == (3, "kicked")
