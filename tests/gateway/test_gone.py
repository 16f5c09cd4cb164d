"""People who are forgotten in the middle of what they command."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.gateway.bot import shipped_guides
from services.gateway.domain.roles import Role
from services.gateway.store import Guides, PersonGone, Seen, User, Users, Wish
from shared.database import Database
from shared.events import MessageRequested, Person
from shared.ids import user_of_telegram
from tests.gateway.conftest import OWNER
from tests.locks import until_blocked

ANN = 5
GUIDE = "risk_first"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WISH = Wish(uuid4(), NOW, 1)
FORGET = text("DELETE FROM telegram_users WHERE telegram_id = :ann")
REMEMBER = text("INSERT INTO forgotten_users (user_id, forgotten_at) VALUES (:id, now())")
Act = Callable[[Users, Guides, User], Awaitable[Any]]


@pytest.mark.parametrize("first", ["forgetting", "command"])
@pytest.mark.parametrize(
    "act",
    [
        lambda _users, guides, ann: guides.view(ann.id, GUIDE, uuid4()),
        lambda _users, guides, ann: guides.save(ann.id, GUIDE, NOW),
        lambda _users, guides, ann: guides.mark_read(ann.id, GUIDE, NOW),
        lambda users, _guides, ann: users.choose_language(ann, "es", WISH),
        lambda users, _guides, ann: users.set_role(ann, Role.SUBSCRIBER, WISH),
        lambda users, _guides, ann: users.is_newest(ann, "news", WISH),
    ],
)
async def test_what_is_written_down_of_somebody_who_goes_is_known_as_that(
    database: Database, act: Act, first: str
) -> None:
    """Whether they were gone before the statement or go while it waits: it is no fault, nothing stays."""
    users, guides = Users(database), Guides(database)
    await guides.ship(shipped_guides())
    await users.register([Seen(Person(telegram_id=ANN, first_name="Ann"), "default", ANN, uuid4(), NOW)])
    ann = await users.find(ANN)
    assert ann is not None
    async with database.begin() as forgetting:
        await forgetting.execute(FORGET, {"ann": ANN})
        if first == "command":
            acting = asyncio.ensure_future(act(users, guides, ann))
            await until_blocked(database)
    with pytest.raises(PersonGone):
        await (acting if first == "command" else act(users, guides, ann))
    assert await users.find(ANN) is None


async def test_a_command_of_somebody_who_is_forgotten_meanwhile_is_settled(
    gateway: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its update is done with at the first attempt: no answer, no error in the log, nobody comes back."""
    await gateway.hook(gateway.message(1, "hello", user=ANN))
    await gateway.logged(1)
    async with gateway.database.begin() as forgetting:
        await forgetting.execute(text("LOCK TABLE telegram_user_guide_collections IN EXCLUSIVE MODE"))
        await gateway.hook(gateway.message(2, f"/guides save {GUIDE}", user=ANN))
        await until_blocked(gateway.database)
        await forgetting.execute(REMEMBER, {"id": user_of_telegram(ANN)})
        await forgetting.execute(FORGET, {"ann": ANN})
    line = await gateway.logged(2)
    assert (line["status"], line["command"], line["error"]) == ("ignored", "guides", None)
    assert not gateway.published(MessageRequested)
    assert await gateway.database.value(text("SELECT count(*) FROM telegram_users")) == 0
    assert await gateway.database.value(text("SELECT count(*) FROM bus_attempts")) == 0
    assert not [line for line in capsys.readouterr().out.splitlines() if '"error"' in line]


@pytest.mark.parametrize("words", [f"/role {ANN} admin", f"/admin suspend {ANN}"])
async def test_an_owner_is_told_of_whom_he_changes_that_they_are_gone(gateway: Any, words: str) -> None:
    """Whoever is forgotten while an owner changes them is somebody whom nobody has met: he gets an answer."""
    await gateway.hook(gateway.message(1, "hello", user=ANN))
    await gateway.logged(1)
    async with gateway.database.begin() as forgetting:
        await forgetting.execute(FORGET, {"ann": ANN})
        await gateway.hook(gateway.message(2, words, user=OWNER))
        await until_blocked(gateway.database)
        await forgetting.execute(REMEMBER, {"id": user_of_telegram(ANN)})
    assert (await gateway.logged(2))["status"] == "handled"
    (told,) = await gateway.eventually(MessageRequested)
    assert "have not met" in told.body.text
