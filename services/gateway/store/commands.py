"""The commands as they were last published to Telegram."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from services.gateway.domain.roles import Role
from shared.database import Database

_CLEAR = text("DELETE FROM telegram_commands WHERE bot = :bot")

_ADD = text("""
    INSERT INTO telegram_commands (bot, name, category, description, role, published_at)
    SELECT :bot, name, category, description, role, :published_at
    FROM unnest(CAST(:names AS text[]), CAST(:categories AS text[]), CAST(:descriptions AS text[]),
                CAST(:roles AS text[])) AS published (name, category, description, role)
    ON CONFLICT (bot, name) DO UPDATE
    SET category = excluded.category, description = excluded.description, role = excluded.role,
        published_at = excluded.published_at""")


@dataclass(frozen=True)
class Entry:
    """A command as Telegram shows it."""

    name: str
    category: str
    description: str
    role: Role


class PublishedCommands:
    """What Telegram was last told of each bot's commands."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replace(self, bot: str, entries: Sequence[Entry], at: datetime) -> None:
        """Remember what was published of a bot, in place of what was before."""
        async with self._database.begin() as connection:
            await connection.execute(_CLEAR, {"bot": bot})
            await connection.execute(
                _ADD,
                {
                    "bot": bot,
                    "names": [entry.name for entry in entries],
                    "categories": [entry.category for entry in entries],
                    "descriptions": [entry.description for entry in entries],
                    "roles": [entry.role.word for entry in entries],
                    "published_at": at,
                },
            )
