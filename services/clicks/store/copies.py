"""What the tables of clicks can tell again of what the streams have said."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.clicks.store.tables import click_annotations, marketing_clicks, posts
from shared.events import (
    ButtonClicked,
    Channel,
    ClickAnnotated,
    Lane,
    Person,
    PromoPosted,
    PromoRef,
    outcome_id,
    promo_due_id,
)
from shared.ids import delivery_of
from shared.record.reconciling import Copies

ATTEMPTS = 100
"""A post's attempt is found by its id: nobody tries more often."""


def _key(row: RowMapping) -> Iterable[tuple[str, str]]:
    yield str(row["id"]), str(row["id"])


async def _presses(connection: AsyncConnection, refs: Sequence[str]) -> list[ButtonClicked]:
    """Make presses again; one that was stored before its bot was kept, or is of nobody, tells no more."""
    click = marketing_clicks.c
    statement = select(marketing_clicks).where(
        click.id.in_([UUID(ref) for ref in refs]), click.bot_id.is_not(None)
    )
    return [
        ButtonClicked(
            id=row["id"], at=row["clicked_at"], source=row["source"], payload=row["payload"],
            delivery_id=row["delivery_id"], bot=row["bot"], bot_id=row["bot_id"], update_id=row["update_id"],
            person=Person(telegram_id=row["telegram_id"]) if row["telegram_id"] else None,
            chat_id=row["chat_id"], message_id=row["message_id"], cta_text=row["cta_text"],
            metadata=row["metadata"],
        )
        for row in (await connection.execute(statement)).mappings()
    ]  # fmt: skip


async def _annotations(connection: AsyncConnection, refs: Sequence[str]) -> list[ClickAnnotated]:
    statement = select(click_annotations).where(click_annotations.c.id.in_([UUID(ref) for ref in refs]))
    return [ClickAnnotated(**row) for row in (await connection.execute(statement)).mappings()]


async def _posts(connection: AsyncConnection, refs: Sequence[str]) -> list[PromoPosted]:
    """Make posts again, to the moment; one whose chat has another id since is left to senders."""
    statement = select(posts).where(posts.c.id.in_([UUID(ref) for ref in refs]))
    rows = (await connection.execute(statement)).mappings().all()
    return [made for row in rows if (made := _post(row)) is not None]


def _post(row: RowMapping) -> PromoPosted | None:
    delivery_id = row["delivery_id"]
    ids = {outcome_id(delivery_id, attempt, "posted"): attempt for attempt in range(ATTEMPTS)}
    attempt = ids.get(row["id"])
    message_id = promo_due_id(row["schedule_id"], row["slot"], row["chat_id"])
    if attempt is None or delivery_of(message_id, Channel.TELEGRAM) != delivery_id:
        return None
    return PromoPosted(
        id=row["id"], at=row["posted_at"], message_id=message_id, delivery_id=row["delivery_id"],
        channel=Channel.TELEGRAM, lane=Lane.PROMO, attempt=attempt, type="promo",
        promo=PromoRef(
            schedule_id=row["schedule_id"], slot=row["slot"], promo_id=row["promo_id"], payload=row["payload"]
        ),
        bot=row["bot"], chat_id=row["chat_id"],
        provider_message_id=None if row["message_id"] is None else str(row["message_id"]),
    )  # fmt: skip


COPIES = (
    Copies("CLICKS", ("clicks.pressed",), select(marketing_clicks.c.id), _key, _presses),
    Copies("OUTCOMES", ("outcomes.posted.>",), select(posts.c.id), _key, _posts),
    Copies("CLICKS", ("clicks.annotated",), select(click_annotations.c.id), _key, _annotations),
)
