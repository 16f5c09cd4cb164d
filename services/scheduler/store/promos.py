"""The catalogue in its table: read by everybody, changed by one at a time."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import any_, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scheduler.domain.catalogue import Draft
from services.scheduler.domain.decision import Cancellation
from services.scheduler.store import commands
from services.scheduler.store.rows import lock_catalogue, write_cancellations
from services.scheduler.store.tables import promos, schedules, slots
from shared.database import Database
from shared.queries import PromoView

SKEW = timedelta(days=1)
"""A post whose end is longer ago cannot be unsent any more, whatever the clocks say."""


class UnknownPromo(Exception):
    """There is no promo of that id."""


class PromoTaken(Exception):
    """Another promo has that id, or that payload; the message says which."""


class PromoInUse(Exception):
    """A schedule's own set names the promo; the message is the schedule's name."""


@dataclass(frozen=True)
class Saved:
    """What is to be saved of a promo: what was written, and the MarkdownV2 that it was checked as."""

    draft: Draft
    text: str
    enabled: bool
    position: int | None = None
    """Its place in the catalogue; None is the last."""


Rewrite = Callable[[PromoView], Saved]


class Catalogue:
    """The promos there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def promos(self) -> list[PromoView]:
        """Return all promos in their order."""
        rows = await self._database.rows(select(promos).order_by(promos.c.position, promos.c.id))
        return [PromoView.model_validate(dict(row)) for row in rows]

    async def promo(self, promo_id: str) -> PromoView:
        """Return a promo; raises UnknownPromo."""
        row = await self._database.row(select(promos).where(promos.c.id == promo_id))
        if row is None:
            raise UnknownPromo(promo_id)
        return PromoView.model_validate(dict(row))

    async def create(self, promo_id: str, saved: Saved, cause: UUID, now: datetime) -> PromoView:
        """Add a promo; raises PromoTaken."""
        async with self._database.begin() as connection:
            await lock_catalogue(connection, shared=False)
            if await commands.known(connection, "create", promo_id, cause) is None:
                if await _find(connection, promo_id) is not None:
                    raise PromoTaken(f"there is a promo {promo_id}")
                await _refuse_taken(connection, promo_id, saved.draft.payload)
                await connection.execute(
                    insert(promos).values(id=promo_id, **await _columns(connection, saved))
                )
                await commands.note(connection, "create", promo_id, cause, changed=True, now=now)
            return await _one(connection, promo_id)

    async def edit(self, promo_id: str, rewrite: Rewrite, cause: UUID, now: datetime) -> PromoView:
        """Change a promo into what `rewrite` makes of it; raises UnknownPromo and PromoTaken.

        A promo that is disabled by it has what is unsent of it cancelled.
        """
        async with self._database.begin() as connection:
            await lock_catalogue(connection, shared=False)
            before = await _one(connection, promo_id)
            if await commands.known(connection, "edit", promo_id, cause) is None:
                saved = rewrite(before)
                await _refuse_taken(connection, promo_id, saved.draft.payload)
                values = await _columns(connection, saved)
                await connection.execute(update(promos).where(promos.c.id == promo_id).values(**values))
                if before.enabled and not saved.enabled:
                    await _cancel_unsent(connection, promo_id, now)
                await commands.note(connection, "edit", promo_id, cause, changed=True, now=now)
            return await _one(connection, promo_id)

    async def delete(self, promo_id: str, cause: UUID, now: datetime) -> None:
        """Remove a promo and cancel what is unsent of it; raises UnknownPromo and PromoInUse."""
        async with self._database.begin() as connection:
            await lock_catalogue(connection, shared=False)
            if await commands.known(connection, "delete", promo_id, cause) is not None:
                return
            await _one(connection, promo_id)
            user = select(schedules.c.name).where(literal(promo_id) == any_(schedules.c.promo_ids)).limit(1)
            if (name := (await connection.execute(user)).scalar()) is not None:
                raise PromoInUse(name)
            await connection.execute(delete(promos).where(promos.c.id == promo_id))
            await _cancel_unsent(connection, promo_id, now)
            await commands.note(connection, "delete", promo_id, cause, changed=True, now=now)

    async def reorder(self, promo_ids: Sequence[str], cause: UUID, now: datetime) -> list[PromoView]:
        """Put these promos first, in this order, and the others behind in theirs; raises UnknownPromo."""
        async with self._database.begin() as connection:
            await lock_catalogue(connection, shared=False)
            if await commands.known(connection, "reorder", "", cause) is None:
                statement = select(promos.c.id).order_by(promos.c.position, promos.c.id)
                there = list((await connection.execute(statement)).scalars())
                if unknown := [each for each in promo_ids if each not in there]:
                    raise UnknownPromo(", ".join(unknown))
                order = list(dict.fromkeys([*promo_ids, *there]))
                for position, promo_id in enumerate(order, 1):
                    await connection.execute(
                        update(promos).where(promos.c.id == promo_id).values(position=position)
                    )
                await commands.note(connection, "reorder", "", cause, changed=True, now=now)
        return await self.promos()

    async def follow_templates(self, render: Callable[[PromoView], str | None]) -> None:
        """Give the promos that follow a template its text of today; None leaves a promo as it is."""
        async with self._database.begin() as connection:
            await lock_catalogue(connection, shared=False)
            rows = (await connection.execute(select(promos).where(promos.c.template.is_not(None)))).mappings()
            for promo in [PromoView.model_validate(dict(row)) for row in rows]:
                text = render(promo)
                if text is not None and text != promo.text:
                    await connection.execute(update(promos).where(promos.c.id == promo.id).values(text=text))


async def _find(connection: AsyncConnection, promo_id: str) -> PromoView | None:
    row = (await connection.execute(select(promos).where(promos.c.id == promo_id))).mappings().first()
    return None if row is None else PromoView.model_validate(dict(row))


async def _one(connection: AsyncConnection, promo_id: str) -> PromoView:
    found = await _find(connection, promo_id)
    if found is None:
        raise UnknownPromo(promo_id)
    return found


async def _refuse_taken(connection: AsyncConnection, promo_id: str, payload: str | None) -> None:
    other = select(promos.c.id).where(promos.c.payload == payload, promos.c.id != promo_id)
    if payload is not None and (taken := (await connection.execute(other)).scalar()) is not None:
        raise PromoTaken(f"promo {taken} has the payload {payload}")


async def _columns(connection: AsyncConnection, saved: Saved) -> dict[str, Any]:
    position = saved.position
    if position is None:
        last = await connection.execute(select(func.coalesce(func.max(promos.c.position), 0)))
        position = last.scalar_one() + 1
    return {**asdict(saved.draft), "text": saved.text, "enabled": saved.enabled, "position": position}


async def _cancel_unsent(connection: AsyncConnection, promo_id: str, now: datetime) -> None:
    """Cancel a promo in every schedule, up to the last slot that shows it: later ones are none of it."""
    slot = slots.c
    shown = (
        select(slot.schedule_id, func.max(slot.slot))
        .where(slot.promo_id == promo_id, slot.until > now - SKEW)
        .group_by(slot.schedule_id)
    )
    await write_cancellations(
        connection,
        [
            Cancellation(schedule_id, up_to, now, "disabled", promo_id)
            for schedule_id, up_to in await connection.execute(shown)
        ],
    )
