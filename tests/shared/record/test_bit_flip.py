"""A single flipped bit in a stream's file takes events; the tables tell them again."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from services.clicks import handlers
from services.clicks.store import Clicks
from services.clicks.store.copies import COPIES
from shared.bus import Bus
from shared.bus.provisioning import Provisioner
from shared.database import Database
from shared.events import ButtonClicked
from shared.record.rebuilding import rebuild
from shared.record.reconciling import reconcile
from tests.conftest import FreshDatabase
from tests.servers import open_nats

Press = Callable[[int], ButtonClicked]
PRESSES = 400


@pytest.mark.slow
async def test_a_flipped_bit_is_mended_from_the_tables(
    fresh_database: FreshDatabase, press: Press, tmp_path: Path
) -> None:
    """After a bit of a block file has flipped, reconcile brings back what the stream lost; rebuild agrees."""
    url = await fresh_database("clicks")
    presses = [press(number) for number in range(PRESSES)]
    async with open_nats(tmp_path / "nats") as server, Database.open(url) as database:
        async with Provisioner.open(server.url, ack_wait_seconds=2) as provisioner:
            await provisioner.apply()
        async with Bus.open(server.url, service="tests") as bus:
            for event in presses:
                await bus.publish(event)
            await Clicks(database).add_presses(presses)
        await server.kill()
        [block] = (tmp_path / "nats").rglob("streams/CLICKS/msgs/1.blk")
        content = bytearray(block.read_bytes())
        content[len(content) // 2] ^= 1
        block.write_bytes(bytes(content))
        # What the index remembers would hide the loss until somebody reads.
        for index in block.parent.glob("index.db"):
            index.unlink()
        await server.restart()

        async with Bus.open(server.url, service="tests") as bus:
            left = len([1 async for _ in bus.streams.read("CLICKS", "clicks.>", up_to=PRESSES)])
            [told, *_] = await reconcile("clicks", database, bus, COPIES, dry_run=False)
            rebuilt = await rebuild(url, bus.streams, handlers.projecting)
            await database.execute(text("TRUNCATE marketing_clicks"))
            await rebuild(url, bus.streams, handlers.projecting)
            rows = await database.value(text("SELECT count(*) FROM marketing_clicks"))

    assert 0 < told.missing == told.told == PRESSES - left
    assert rebuilt.same, rebuilt.compared
    assert rows == PRESSES
