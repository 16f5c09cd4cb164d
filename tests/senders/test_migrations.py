"""The migrations of senders."""

import asyncio
from collections.abc import Awaitable, Callable

from shared import migrations


async def test_migrations_make_what_the_store_declares(
    fresh_database: Callable[[str], Awaitable[str]],
) -> None:
    """A migrated database has the tables, columns and indexes of the store, and goes back and forth."""
    url = await fresh_database("senders")
    await asyncio.to_thread(migrations.check, "senders", url)
    await asyncio.to_thread(migrations.downgrade, "senders", url)
    await asyncio.to_thread(migrations.migrate, "senders", url)
    await asyncio.to_thread(migrations.check, "senders", url)
