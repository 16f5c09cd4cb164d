"""Rebuild, forget and reconcile, killed on their way: done again they end right, and nothing is doubled."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from nats.aio.client import Client
from sqlalchemy import text

from services.clicks import handlers
from services.clicks.store import Clicks
from services.clicks.store.copies import COPIES
from shared.bus import Bus
from shared.database import Database
from shared.events import ButtonClicked
from shared.failpoints import MendFailpoint
from shared.ids import user_of_telegram
from shared.record.erasing import Somebody, erase
from shared.record.rebuilding import Busy, Rebuilt, rebuild
from shared.record.reconciling import reconcile
from tests.conftest import FreshDatabase
from tests.servers import AnyNats

Press = Callable[[int], ButtonClicked]
PRESSES, LOST = 12, (3, 5, 8)
MENDER = str(Path(__file__).with_name("mender.py"))


@pytest.mark.parametrize("point", get_args(MendFailpoint))
async def test_who_is_killed_is_followed_by_another(
    bus: Bus, prepared_nats: AnyNats, fresh_database: FreshDatabase, press: Press, point: str
) -> None:
    """Tables lack some rows and the stream some events; a process is killed over it, the service works on."""
    url = await fresh_database("clicks")
    presses = [press(number) for number in range(PRESSES)]
    theirs = 1000 + 1
    async with Database.open(url) as database:
        clicks = Clicks(database)
        for event in presses:
            await bus.publish(event)
        await clicks.add_presses(presses)
        if point.startswith("reconcile"):
            await _lose(prepared_nats.url)
        if point.startswith("rebuild"):
            await database.execute(text("DELETE FROM marketing_clicks WHERE update_id < 4"))

        process = await asyncio.create_subprocess_exec(
            sys.executable, MENDER, prepared_nats.url, url, point, str(theirs)
        )
        assert await asyncio.wait_for(process.wait(), 60) == -9
        # The service goes on between the death and whoever comes after it.
        await bus.publish(press(PRESSES))
        await clicks.add_presses([press(PRESSES)])

        if point.startswith("forget"):
            somebody = Somebody(frozenset({user_of_telegram(theirs)}))
            assert (await erase(bus, somebody))["CLICKS"] == 1
            assert not any((await erase(bus, somebody)).values())
        await reconcile("clicks", database, bus, COPIES, dry_run=False)
        await _rebuilt(url, bus)
        again = await _rebuilt(url, bus)
        rows = await database.value(text("SELECT count(*) FROM marketing_clicks"))
        schemas = await database.rows(text("SELECT nspname FROM pg_namespace WHERE nspname = 'rebuilt'"))

    assert again.same, again.compared
    assert rows == PRESSES + 1
    assert list(schemas) == []
    assert await _stored(bus) == Counter({str(press(number).id): 1 for number in range(PRESSES + 1)})


async def _rebuilt(url: str, bus: Bus) -> Rebuilt:
    """Rebuild as soon as the database has noticed that whoever did it before is dead."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await rebuild(url, bus.streams, handlers.projecting, lose=True)
            except Busy:
                await asyncio.sleep(0.2)


async def _lose(url: str) -> None:
    client = Client()
    await client.connect(url)
    for sequence in LOST:
        await client.jetstream().delete_msg("CLICKS", sequence)
    await client.close()


async def _stored(bus: Bus) -> Counter[str]:
    """Count the presses on the stream by id."""
    cut = (await bus.streams.cut())["CLICKS"]
    return Counter([each.event_key async for each in bus.streams.read("CLICKS", ">", up_to=cut)])
