"""Whom a service has been told to forget, and until when: what is older is nobody's, whenever it comes."""

from sqlalchemy import Column, DateTime, MetaData, Table, Uuid, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.events import RecipientForgotten

_ADD = text("""
    INSERT INTO forgotten_users AS known (user_id, forgotten_at) VALUES (:user_id, :at)
    ON CONFLICT (user_id) DO UPDATE SET forgotten_at = greatest(known.forgotten_at, excluded.forgotten_at)""")


def forgotten_table(metadata: MetaData) -> Table:
    """Declare the table of those who are to be forgotten."""
    return Table(
        "forgotten_users",
        metadata,
        Column("user_id", Uuid, primary_key=True),
        Column("forgotten_at", DateTime(timezone=True), nullable=False),
    )


async def add_forgotten(connection: AsyncConnection, forgotten: RecipientForgotten) -> None:
    """Remember to forget somebody."""
    await connection.execute(_ADD, {"user_id": forgotten.user_id, "at": forgotten.at})
