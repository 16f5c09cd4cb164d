"""Presses and posts: what is written, and what is asked of them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.clicks.store.questions import POSTS, SERIES, SUMS
from services.clicks.store.statements import (
    ADD_ANNOTATIONS,
    ADD_POSTS,
    ADD_PRESSES,
    ANNOTATE_PRESSES,
    CORRECT_PRESSES,
    FORGET_ANNOTATIONS,
    FORGET_POSTS,
    FORGET_PRESSES,
    LOCK_FOR_OTHERS,
    LOCK_FOR_PRESSES,
    PRIVATE_CHATS,
)
from services.clicks.store.tables import click_annotations, marketing_clicks
from shared.database import Database
from shared.events import ButtonClicked, ClickAnnotated, PromoPosted, PromoRef, RecipientForgotten
from shared.ids import owner_of
from shared.queries import ClicksPoint, ClickView, PostClicks, PromoClicks
from shared.record.forgetting import add_forgotten
from shared.record.trimmed import look_into_trimmed

Place = tuple[datetime, UUID]
"""Where a page ends: the time and the id of its last row."""

TELEGRAM_MESSAGE_ID = re.compile(r"\d{1,18}", re.ASCII)


@dataclass(frozen=True)
class Stored:
    """How many presses of a promo were new; `posted` says whether any post of that promo is known."""

    promo_id: str
    posted: bool
    presses: int


class Clicks:
    """The memory of clicks, in its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_presses(self, presses: Sequence[ButtonClicked]) -> list[Stored]:
        """Store the presses that are not there yet, and say how many of each promo were new."""
        async with self._database.begin() as connection:
            await connection.execute(LOCK_FOR_PRESSES)
            stored = await connection.execute(ADD_PRESSES, {"presses": [_pressed(each) for each in presses]})
            return [Stored(row.promo_id, row.posted, row.presses) for row in stored]

    async def add_posts(self, posts: Sequence[PromoPosted]) -> None:
        """Store the posts that are not there yet, and give their presses the right promo."""
        known = [(post, post.promo) for post in posts if post.promo is not None]
        async with self._database.begin() as connection:
            await connection.execute(LOCK_FOR_OTHERS)
            fresh = (await connection.execute(ADD_POSTS, _post_columns(known))).scalars().all()
            if fresh:
                await connection.execute(CORRECT_PRESSES, {"ids": list(fresh)})

    async def add_annotations(self, annotations: Sequence[ClickAnnotated]) -> None:
        """Store the annotations that are not there yet, and merge them into their presses."""
        async with self._database.begin() as connection:
            await connection.execute(LOCK_FOR_OTHERS)
            columns = {
                "ids": [each.id for each in annotations],
                "click_ids": [each.click_id for each in annotations],
                "at": [each.at for each in annotations],
                "metadata": [_json(each.metadata) for each in annotations],
            }
            fresh = (await connection.execute(ADD_ANNOTATIONS, columns)).scalars().all()
            if fresh:
                await connection.execute(ANNOTATE_PRESSES, {"click_ids": list(set(fresh))})

    async def forget(self, forgotten: RecipientForgotten) -> None:
        """Make somebody's presses nobody's, and posts in their chat, trimmed ones too.

        So it is with those that are still to come from before.
        """
        async with self._database.begin() as connection:
            await _forget(connection, forgotten)
            await look_into_trimmed(connection)
            await _forget(connection, forgotten)

    async def newest(
        self,
        *,
        user_ids: Collection[UUID],
        promo_id: str | None,
        since: datetime | None,
        until: datetime | None,
        before: Place | None,
        limit: int,
    ) -> list[ClickView]:
        """Return up to `limit` presses, newest first, behind the place `before`; of everybody without ids."""
        click = marketing_clicks.c
        statement = select(marketing_clicks).order_by(click.clicked_at.desc(), click.id.desc()).limit(limit)
        if user_ids:
            statement = statement.where(click.user_id.in_(user_ids))
        if promo_id is not None:
            statement = statement.where(click.promo_id == promo_id)
        if since is not None:
            statement = statement.where(click.clicked_at >= since)
        if until is not None:
            statement = statement.where(click.clicked_at < until)
        if before is not None:
            statement = statement.where(tuple_(click.clicked_at, click.id) < before)
        return [_view(row) for row in await self._database.rows(statement)]

    async def one(self, click_id: UUID) -> ClickView | None:
        """Return a press."""
        statement = select(marketing_clicks).where(marketing_clicks.c.id == click_id)
        row = await self._database.row(statement)
        return None if row is None else _view(row)

    async def has_annotation(self, annotation_id: UUID) -> bool:
        """Say whether an annotation is merged into its press."""
        statement = select(click_annotations.c.id).where(click_annotations.c.id == annotation_id)
        return await self._database.row(statement) is not None

    async def sums(
        self, promo_id: str | None, since: datetime | None = None, until: datetime | None = None
    ) -> list[PromoClicks]:
        """Return the sums of a promo (zeros where it has no press), or of up to 1,000 promos."""
        rows = await self._database.rows(SUMS, promo_id=promo_id, since=since, until=until)
        sums = [PromoClicks.model_validate(dict(row)) for row in rows]
        if promo_id is not None and not sums:
            return [
                PromoClicks(
                    promo_id=promo_id, clicks=0, unique_users=0, conversion_rate=0, deep_links=0, posts=0
                )
            ]
        return sums

    async def posts(
        self,
        *,
        promo_id: str | None,
        schedule_id: UUID | None,
        since: datetime | None,
        until: datetime | None,
        before: Place | None,
        limit: int,
    ) -> list[PostClicks]:
        """Return up to `limit` posted messages with their presses, newest first, behind `before`."""
        before_at, before_key = before or (None, None)
        rows = await self._database.rows(
            POSTS, promo_id=promo_id, schedule_id=schedule_id, since=since, until=until,
            before_at=before_at, before_key=before_key, limit=limit,
        )  # fmt: skip
        return [PostClicks.model_validate(dict(row)) for row in rows]

    async def series(
        self, starts: Sequence[datetime], until: datetime, promo_id: str | None
    ) -> list[ClicksPoint]:
        """Return the sums between one start and the next; the last ends at `until`."""
        rows = await self._database.rows(SERIES, starts=list(starts), until=until, promo_id=promo_id)
        return [
            ClicksPoint.model_validate({"start": start, **row})
            for start, row in zip(starts, rows, strict=True)
        ]


async def _forget(connection: AsyncConnection, forgotten: RecipientForgotten) -> None:
    about = {"user_id": forgotten.user_id, "at": forgotten.at}
    await connection.execute(LOCK_FOR_OTHERS)
    await add_forgotten(connection, forgotten)
    await connection.execute(FORGET_ANNOTATIONS, about)
    await connection.execute(FORGET_PRESSES, about)
    chats = (await connection.execute(PRIVATE_CHATS)).scalars().all()
    if theirs := [chat_id for chat_id in chats if owner_of(chat_id) == forgotten.user_id]:
        await connection.execute(FORGET_POSTS, {"chat_ids": theirs, "at": forgotten.at})


def _pressed(press: ButtonClicked) -> tuple[object, ...]:
    """Return a press as the database's type `pressed` has it."""
    return (
        press.id, press.user_id, press.cta_text, press.chat_id, press.message_id, press.source,
        _json(press.metadata), press.at, press.bot, press.payload, press.delivery_id, press.bot_id,
        press.update_id, press.person.telegram_id if press.person else None,
    )  # fmt: skip


def _view(row: RowMapping) -> ClickView:
    return ClickView.model_validate(dict(row))


def _json(metadata: Mapping[str, object] | None) -> str | None:
    return None if metadata is None else orjson.dumps(metadata).decode()


def _post_columns(posts: Sequence[tuple[PromoPosted, PromoRef]]) -> dict[str, list[object]]:
    return {
        "ids": [post.id for post, _ in posts],
        "delivery_ids": [post.delivery_id for post, _ in posts],
        "promo_ids": [promo.promo_id for _, promo in posts],
        "payloads": [promo.payload for _, promo in posts],
        "bots": [post.bot for post, _ in posts],
        "chat_ids": [post.chat_id for post, _ in posts],
        "message_ids": [_message_id(post.provider_message_id) for post, _ in posts],
        "schedule_ids": [promo.schedule_id for _, promo in posts],
        "slots": [promo.slot for _, promo in posts],
        "posted_at": [post.at for post, _ in posts],
        "owners": [owner_of(post.chat_id) for post, _ in posts],
    }


def _message_id(text: str | None) -> int | None:
    return int(text) if text and TELEGRAM_MESSAGE_ID.fullmatch(text) else None
