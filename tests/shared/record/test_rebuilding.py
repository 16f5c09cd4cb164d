"""Projections built anew: as the streams say, while others write, and never less than there was."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from services.clicks import handlers
from services.clicks.store import Clicks
from shared import ids, migrations
from shared.bus import Bus
from shared.database import Database
from shared.events import (
    ButtonClicked,
    Channel,
    Lane,
    PromoPosted,
    PromoRef,
    outcome_id,
)
from shared.record.rebuilding import Busy, WouldLose, rebuild
from tests.conftest import FreshDatabase

Press = Callable[[int], ButtonClicked]


def post(promo_id: str, press: ButtonClicked) -> PromoPosted:
    """Return a post of a promo, under the payload of a press and before it."""
    delivery = ids.derived("delivery", promo_id)
    return PromoPosted(
        id=outcome_id(delivery, 1, "posted"), at=press.at - timedelta(minutes=1), message_id=delivery,
        delivery_id=delivery, channel=Channel.TELEGRAM, lane=Lane.PROMO, attempt=1, type="promo",
        promo=PromoRef(
            schedule_id=delivery, slot=press.at, promo_id=promo_id, payload=press.payload
        ),
        bot="default", chat_id=-100, provider_message_id="77",
    )  # fmt: skip


async def test_tables_become_what_the_streams_say_while_others_write(
    bus: Bus, fresh_database: FreshDatabase, press: Press
) -> None:
    """Rows missing, wrong or told twice are put right, none written meanwhile is lost; shape stays."""
    url = await fresh_database("clicks")
    async with Database.open(url) as database:
        clicks = Clicks(database)
        known = [press(number) for number in range(50)]
        await bus.publish(post("premium_signals", known[0]))
        await asyncio.gather(*(bus.publish(each) for each in known))
        await bus.publish(known[0], again="told twice")
        await clicks.add_posts([post("premium_signals", known[0])])
        await clicks.add_presses(known)
        await database.execute(
            text(
                "DELETE FROM marketing_clicks WHERE message_id = 1 AND chat_id = -100 "
                "AND id IN (SELECT id FROM marketing_clicks ORDER BY id LIMIT 7)"
            )
        )
        await database.execute(
            text(
                "UPDATE marketing_clicks SET promo_id = 'wrong' "
                "WHERE id IN (SELECT id FROM marketing_clicks ORDER BY id LIMIT 3)"
            )
        )

        async def go_on() -> None:
            for number in range(100, 200):
                await bus.publish(press(number))
                await clicks.add_presses([press(number)])

        writing = asyncio.create_task(go_on())
        done = await rebuild(url, bus.streams, handlers.projecting)
        await writing
        again = await rebuild(url, bus.streams, handlers.projecting)
        rows = await database.rows(text("SELECT promo_id, count(*) AS n FROM marketing_clicks GROUP BY 1"))

    compared = {each.table: each for each in done.compared}
    posts, presses = compared["posts"], compared["marketing_clicks"]
    assert (posts.same, presses.added >= 7, presses.changed, presses.gone) == (True, True, 3, 0)
    assert again.same
    assert [(row["promo_id"], row["n"]) for row in rows] == [("premium_signals", 150)]
    await asyncio.to_thread(migrations.check, "clicks", url)


async def test_nothing_is_lost_or_done_twice_at_once(
    bus: Bus, fresh_database: FreshDatabase, press: Press
) -> None:
    """Rows that the streams do not tell of stop a rebuild, if it is not to lose them; one runs at a time."""
    url = await fresh_database("clicks")
    async with Database.open(url) as database:
        await Clicks(database).add_presses([press(1)])
        async with database.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(hashtext('carillon rebuild'))"))
            with pytest.raises(Busy):
                await rebuild(url, bus.streams, handlers.projecting)
            await connection.execute(text("SELECT pg_advisory_unlock_all()"))

        with pytest.raises(WouldLose, match="1 in marketing_clicks"):
            await rebuild(url, bus.streams, handlers.projecting)
        compared = await rebuild(url, bus.streams, handlers.projecting, swap=False)
        kept = await database.value(text("SELECT count(*) FROM marketing_clicks"))
        await rebuild(url, bus.streams, handlers.projecting, lose=True)
        left = await database.value(text("SELECT count(*) FROM marketing_clicks"))

    assert (compared.same, kept, left) == (False, 1, 0)
