"""What several ask of the database at once: one statement, and for each an answer of its own."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from services.senders.domain.policy import Finish
from services.senders.domain.requests import Request
from services.senders.store import Ledger
from shared.database import Database
from shared.events import Address, State
from shared.gathering import AT_ONCE, Gathering
from tests.senders.conftest import asked

MANY = 40


class Refuses(Exception):
    """The database refuses a statement for one of its items."""


class Asking:
    """Answers with twice the item; refuses statements with a poisoned one, and notes what it was asked."""

    def __init__(self, poison: set[int]) -> None:
        self.poison = poison
        self.statements: list[list[int]] = []
        self.running = 0

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.statements.append(list(items))
        self.running += 1
        assert self.running <= AT_ONCE
        await asyncio.sleep(0)
        self.running -= 1
        if self.poison & set(items):
            raise Refuses
        return [2 * item for item in items]


@settings(max_examples=60, deadline=None)
@given(
    items=st.lists(st.integers(0, 20), min_size=1, max_size=40),
    poison=st.sets(st.integers(0, 20), max_size=3),
    pauses=st.lists(st.integers(0, 2), min_size=40, max_size=40),
)
def test_everybody_gets_his_own_answer(items: list[int], poison: set[int], pauses: list[int]) -> None:
    """In any order and company nobody gets another's answer, and nobody fails for another."""
    asking = Asking(poison)

    async def ask(gathering: Gathering[int, int], item: int, pause: int) -> int | None:
        for _ in range(pause):
            await asyncio.sleep(0)
        try:
            return await gathering.one(item)
        except Refuses:
            return None

    async def all_ask() -> list[int | None]:
        gathering = Gathering("test", asking, lambda item: item)
        each = [ask(gathering, item, pause) for item, pause in zip(items, pauses, strict=False)]
        return await asyncio.gather(*each)

    assert asyncio.run(all_ask()) == [None if item in poison else 2 * item for item in items]
    assert all(len(set(statement)) == len(statement) for statement in asking.statements)


async def test_whoever_has_given_up_is_not_asked_for() -> None:
    """What was cancelled before its statement began is in none."""
    asking = Asking(set())
    gathering = Gathering("test", asking, lambda item: item)
    waiting = [asyncio.create_task(gathering.one(item)) for item in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert asking.statements == [[0, 2]]


async def test_an_outage_is_everybodys_and_not_asked_again() -> None:
    """When the database is away each hears of it, and nobody asks it again for each alone."""
    statements = 0

    async def away(_items: Sequence[int]) -> list[int]:
        nonlocal statements
        statements += 1
        raise ConnectionResetError

    gathering = Gathering("test", away, lambda item: item)
    answers = await asyncio.gather(*map(gathering.one, range(5)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConnectionResetError] * 5
    assert statements == 1


def requests(count: int) -> list[Request]:
    """Return requests, each to a chat of its own."""
    return [Request.of_message(asked(address=Address(telegram_chat_id=1 + each))) for each in range(count)]


async def test_messages_side_by_side_share_statements(database: Database) -> None:
    """Many messages are accepted, claimed and answered by a few statements, and each has its own history."""
    ledger, statements = Ledger(database, lease_seconds=60), 0

    def count(*_: Any) -> None:
        nonlocal statements
        statements += 1

    async def through(request: Request, chat_id: int) -> int | None:
        delivery = await ledger.load(await ledger.accept(request) or request.id)
        assert delivery
        attempt = await ledger.claim(delivery, bot="default", chat_id=chat_id)
        assert attempt
        end = Finish(State.SENT, provider_message_id=str(chat_id))
        ended, _ = await ledger.finish(delivery, attempt, end)
        assert ended
        assert (ended["message_id"], ended["provider_message_id"]) == (request.id, str(chat_id))
        await ledger.announced(delivery.id, State.SENT, attempt)
        return attempt

    await ledger.accept(requests(1)[0])
    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    await asyncio.gather(*(through(each, number) for number, each in enumerate(requests(MANY), 1)))
    event.remove(engine, "before_cursor_execute", count)
    rows = await database.rows(text("SELECT chat_id, provider_message_id FROM deliveries WHERE announced"))
    assert {row["provider_message_id"] for row in rows if row["chat_id"]} == {str(n + 1) for n in range(MANY)}
    assert all(str(row["chat_id"]) == row["provider_message_id"] for row in rows if row["chat_id"])
    assert statements <= MANY


async def test_a_claim_that_the_database_refuses_stops_no_other(database: Database) -> None:
    """A value that no column holds fails its own claim only."""
    ledger = Ledger(database, lease_seconds=60)
    found = [await ledger.load(await ledger.accept(each) or each.id) for each in requests(5)]
    chats = [1, 2, 2**70, 4, 5]
    claims = await asyncio.gather(
        *(ledger.claim(delivery, bot="default", chat_id=chat)
          for delivery, chat in zip(found, chats, strict=True) if delivery),
        return_exceptions=True,
    )  # fmt: skip
    assert isinstance(claims.pop(2), DBAPIError)
    assert claims == [1, 1, 1, 1]
    with pytest.raises(DBAPIError):
        await ledger.claim(found[2], bot="default", chat_id=2**70)  # type: ignore[arg-type]  # it is there
