"""The catalogue in its table."""

from collections.abc import Mapping

from sqlalchemy import select, update

from services.scheduler.store.tables import promos
from shared.database import Database
from shared.queries import PromoView


class Catalogue:
    """The promos there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def promos(self) -> list[PromoView]:
        """Return all promos in their order."""
        rows = await self._database.rows(select(promos).order_by(promos.c.position, promos.c.id))
        return [PromoView.model_validate(dict(row)) for row in rows]

    async def follow_templates(self, texts: Mapping[str, str]) -> None:
        """Give the promos that follow a template its text of today, by template name."""
        for template, text in texts.items():
            await self._database.execute(
                update(promos).where(promos.c.template == template, promos.c.text != text).values(text=text)
            )
