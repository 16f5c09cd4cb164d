"""Somebody who is forgotten is nowhere any more, and the books still balance."""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import text

from services.clicks import handlers
from services.clicks.store import Clicks, books
from shared.bus import Bus
from shared.database import Database
from shared.events import ButtonClicked, ClickAnnotated, RecipientForgotten, click_annotation_id
from shared.ids import derived, user_of_telegram
from shared.record.books import balance
from shared.record.erasing import Somebody, erase
from shared.record.rebuilding import rebuild
from tests.conftest import FreshDatabase

Press = Callable[[int], ButtonClicked]


async def test_presses_of_somebody_become_nobodys_in_table_and_stream(
    bus: Bus, fresh_database: FreshDatabase, press: Press
) -> None:
    """Person, private chat and notes go from rows and messages; counts, books and a rebuild stay the same."""
    url = await fresh_database("clicks")
    theirs = press(1).model_copy(update={"chat_id": 1001, "metadata": {"order": "4711"}})
    other, user_id = press(2), user_of_telegram(1001)
    note = ClickAnnotated(
        id=click_annotation_id(theirs.id, theirs.id), at=theirs.at, click_id=theirs.id,
        metadata={"conversion": "completed", "name": "Ada"},
    )  # fmt: skip
    forgotten = RecipientForgotten(
        id=derived("forgotten", user_id), at=theirs.at + timedelta(hours=1), user_id=user_id, version=2
    )
    late = press(1).model_copy(update={"id": derived("late"), "update_id": 77, "chat_id": 1001})
    async with Database.open(url) as database:
        clicks = Clicks(database)
        for event in (theirs, other, note, forgotten, late):
            await bus.publish(event)
        await clicks.add_presses([theirs, other])
        await clicks.add_annotations([note])
        await clicks.forget(forgotten)
        await clicks.add_presses([late])

        erased = await erase(bus, Somebody(frozenset({user_id})))
        again = await erase(bus, Somebody(frozenset({user_id})))
        done = await balance(database, bus.streams, await bus.streams.cut(), books.SOURCES, books.LINES)
        rows = await database.rows(text("SELECT * FROM marketing_clicks ORDER BY update_id"))
        rebuilt = await rebuild(url, bus.streams, handlers.projecting)

    assert (erased["CLICKS"], again["CLICKS"]) == (3, 0)
    assert [(row["user_id"], row["telegram_id"], row["chat_id"]) for row in rows] == [
        (None, None, None), (other.user_id, 1002, -100), (None, None, None),
    ]  # fmt: skip
    assert rows[0]["metadata"] == {"conversion": "completed"}
    assert [line.difference for line in done.lines] == [0] * len(done.lines)
    stream = [each.payload async for each in bus.streams.read("CLICKS", "clicks.>", up_to=100)]
    assert len(stream) == 4
    assert not any(b"1001" in payload for payload in stream)
    assert sum(b"Ada" in payload for payload in stream) == 1
    [kept] = [each for each in rebuilt.compared if each.table == "marketing_clicks"]
    assert kept.same, rebuilt.compared
