"""Forgetting: what was posted in somebody's own chat is counted, and nobody's."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.clicks.store import Clicks
from shared import ids
from shared.database import Database
from shared.events import PromoPosted, RecipientForgotten
from tests.clicks.conftest import START

ANN, GROUP = 4200, -4200
DELIVERIES = [ids.derived("delivery", number) for number in range(4)]


@pytest.mark.parametrize(
    ("first", "schema"), [("posts", "public"), ("posts", "trimmed"), ("forgetting", "public")]
)
async def test_posts_in_a_private_chat_are_nobodys(
    clicks: Clicks, database: Database, post: Callable[..., PromoPosted], first: str, schema: str
) -> None:
    """Whichever comes first, chat and message of what is older are gone; groups and later posts stay."""
    chats = (ANN, GROUP, ANN + 1, ANN)
    posts = [
        post("vip", "vip", delivery, minute).model_copy(update={"chat_id": chat_id})
        for delivery, chat_id, minute in zip(DELIVERIES, chats, (0, 0, 0, 60), strict=True)
    ]
    forgotten = RecipientForgotten(
        id=uuid4(), at=START + timedelta(minutes=30), user_id=ids.user_of_telegram(ANN), version=2
    )
    if first == "posts":
        await clicks.add_posts(posts)
    if schema == "trimmed":
        await database.execute(text("INSERT INTO trimmed.posts SELECT * FROM posts"))
    await clicks.forget(forgotten)
    if first == "forgetting":
        await clicks.add_posts(posts)

    rows = await database.rows(text(f"SELECT * FROM {schema}.posts ORDER BY posted_at, chat_id"))  # noqa: S608 - ours
    assert [(row["chat_id"], row["message_id"]) for row in rows] == [
        (GROUP, 77), (ANN + 1, 77), (None, None), (ANN, 77),
    ]  # fmt: skip
    assert [each.posts for each in await clicks.sums("vip")] == [4]
