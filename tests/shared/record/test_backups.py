"""A backup holds everything, its consumers' places too, and is restored into an empty system only."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from services.clicks.store import Clicks
from shared.bus import Bus
from shared.bus.snapshots import NotEmpty
from shared.database import Database
from shared.events import ButtonClicked
from shared.record import dumping
from tests.conftest import FreshDatabase
from tests.servers import open_nats

Press = Callable[[int], ButtonClicked]


async def test_streams_and_tables_come_back_as_they_were(
    bus: Bus, fresh_database: FreshDatabase, press: Press, tmp_path: Path
) -> None:
    """Events, a durable that had not read them, and rows are there again; nothing is written over."""
    for number in range(300):
        await bus.publish(press(number))
    before = {each.durable.name: each.waiting for each in await bus.streams.progress()}
    url, other = await fresh_database("clicks"), await fresh_database("clicks")
    async with Database.open(url) as database:
        await Clicks(database).add_presses([press(number) for number in range(3)])
        rows = await database.rows(text("SELECT * FROM marketing_clicks ORDER BY id"))

    saved = await bus.snapshots.save("CLICKS", tmp_path / "CLICKS.snapshot")
    dumped = await dumping.dump(url, tmp_path / "clicks")
    await dumping.load(other, tmp_path / "clicks")
    async with open_nats(tmp_path / "second") as server, Bus.open(server.url, service="tests") as second:
        restored = await second.snapshots.restore("CLICKS", tmp_path / "CLICKS.snapshot")
        with pytest.raises(NotEmpty):
            await second.snapshots.restore("CLICKS", tmp_path / "CLICKS.snapshot")
        told = [each.payload async for each in second.streams.read("CLICKS", "clicks.>", up_to=1000)]
        info = await second._client.jetstream().consumer_info("CLICKS", "clicks_presses")
    async with Database.open(other) as database:
        again = await database.rows(text("SELECT * FROM marketing_clicks ORDER BY id"))

    assert (saved, restored, len(told), info.num_pending) == (300, 300, 300, before["clicks_presses"])
    assert dumped == 3
    assert again == rows
    with pytest.raises(dumping.HoldsRows):
        await dumping.empty(other)
