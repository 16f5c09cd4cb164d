"""What a stream has lost is told again from the tables; what tables lack comes from the stream."""

from collections.abc import Callable

from nats.aio.client import Client
from sqlalchemy import text

from services.clicks import handlers
from services.clicks.store import Clicks
from services.clicks.store.copies import COPIES
from shared.bus import Bus
from shared.database import Database
from shared.events import ButtonClicked, ClickAnnotated, click_annotation_id
from shared.record.rebuilding import rebuild
from shared.record.reconciling import reconcile
from tests.conftest import FreshDatabase
from tests.servers import AnyNats

Press = Callable[[int], ButtonClicked]


async def test_lost_events_are_told_again(
    bus: Bus, prepared_nats: AnyNats, fresh_database: FreshDatabase, press: Press
) -> None:
    """Events that are gone from a stream come back under their ids, once; then the tables can be rebuilt."""
    url = await fresh_database("clicks")
    pressed = [press(number) for number in (1, 2, 3)]
    cause = pressed[0].id
    note = ClickAnnotated(
        id=click_annotation_id(cause, cause),
        at=pressed[0].at,
        click_id=cause,
        metadata={"conversion": "completed"},
    )
    async with Database.open(url) as database:
        clicks = Clicks(database)
        await clicks.add_presses(pressed)
        await clicks.add_annotations([note])
        for event in (*pressed, note):
            await bus.publish(event)
        client = Client()
        await client.connect(prepared_nats.url)
        for sequence in (2, 4):
            await client.jetstream().delete_msg("CLICKS", sequence)
        await client.close()

        dry = await reconcile("clicks", database, bus, COPIES, dry_run=True)
        told = await reconcile("clicks", database, bus, COPIES, dry_run=False)
        again = await reconcile("clicks", database, bus, COPIES, dry_run=False)
        rebuilt = await rebuild(url, bus.streams, handlers.projecting)
        await database.execute(text("TRUNCATE marketing_clicks, click_annotations"))
        brought = await rebuild(url, bus.streams, handlers.projecting)

    assert [(each.missing, each.told) for each in dry] == [(1, 1), (0, 0), (1, 1)]
    assert [(each.missing, each.told) for each in told] == [(1, 1), (0, 0), (1, 1)]
    assert [(each.missing, each.told) for each in again] == [(0, 0)] * 3
    assert await bus.streams.count("CLICKS") == 4
    assert rebuilt.same, rebuilt.compared
    assert [(each.table, each.added) for each in brought.compared] == [
        ("posts", 0), ("marketing_clicks", 3), ("click_annotations", 1), ("forgotten_users", 0),
    ]  # fmt: skip
