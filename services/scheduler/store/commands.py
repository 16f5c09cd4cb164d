"""Commands that have been done: the same cause again changes nothing more."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scheduler.store.tables import commands

_ALONE = text("""
    SELECT pg_advisory_xact_lock(hashtextextended(
        CAST(:command AS text) || ' ' || CAST(:subject AS text) || ' ' || CAST(:cause AS uuid), 0))""")


async def known(connection: AsyncConnection, command: str, subject: str, cause: UUID) -> bool | None:
    """Return whether a command changed anything when it was done, or None when it has not been.

    Whoever does the same command at the same time waits until this transaction ends, and knows it then.
    """
    key = {"cause": cause, "command": command, "subject": subject}
    await connection.execute(_ALONE, key)
    found: bool | None = (await connection.execute(select(commands.c.changed).filter_by(**key))).scalar()
    return found


async def note(
    connection: AsyncConnection, command: str, subject: str, cause: UUID, *, changed: bool, now: datetime
) -> None:
    """Write down that a command has been done."""
    await connection.execute(
        insert(commands).values(cause=cause, command=command, subject=subject, changed=changed, at=now)
    )
