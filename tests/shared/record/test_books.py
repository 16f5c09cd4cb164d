"""A service's books: what differs between streams and tables, and what may."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from services.clicks.store import Clicks, books
from shared.bus import Bus
from shared.bus.envelope import encode
from shared.database import Database, TimedOut
from shared.events import ButtonClicked
from shared.queries import AuditLine
from shared.record.books import Line, balance
from shared.topology import STREAMS
from tests.conftest import FreshDatabase

Press = Callable[[int], ButtonClicked]
NOTHING = {stream.name: 0 for stream in STREAMS}


async def line(database: Database, bus: Bus, cut: dict[str, int]) -> AuditLine:
    """Return the line of clicks."""
    done = await balance(database, bus.streams, cut, books.SOURCES, books.LINES)
    return next(each for each in done.lines if each.name == "clicks")


async def test_books_have_more_time_than_other_statements(bus: Bus, fresh_database: FreshDatabase) -> None:
    """What compares all that was ever said may take longer than any other statement of the service."""
    stream = "SELECT pg_sleep(2)::text AS key, '' AS state"
    slow = Line("slow", stream, "SELECT '' AS key, '' AS state, false AS open")
    async with Database.open(await fresh_database("clicks"), statement_seconds=1) as database:
        with pytest.raises(TimedOut):
            await database.value(text("SELECT pg_sleep(2)"))
        done = await balance(database, bus.streams, NOTHING, (), (slow,))

    assert [(each.stream, each.tables, each.difference) for each in done.lines] == [(1, 1, 0)]


async def die(bus: Bus, durable: str, press: ButtonClicked) -> None:
    """Make a dead letter of a press."""
    payload, headers = encode(press)
    letter = {**headers, "Nats-Msg-Id": f"dlq:{durable}:{press.id}~0", "Carillon-Durable": durable}
    await bus._publisher.publish(f"dlq.{durable}", payload, letter)


async def test_ids_that_one_side_lacks_are_differences(
    bus: Bus, database: Database, clicks: Clicks, press: Press
) -> None:
    """What one side has and the other has not is a difference; rows from after the cut are none."""
    for number in (1, 2):
        await bus.publish(press(number))
    await clicks.add_presses([press(1), press(2)])
    cut = await bus.streams.cut()

    equal, early = await line(database, bus, cut), await line(database, bus, NOTHING)
    await bus.publish(press(3))
    missing = await line(database, bus, await bus.streams.cut())
    await clicks.add_presses([press(3), press(4)])
    surplus = await line(database, bus, await bus.streams.cut())

    assert [(each.stream, each.tables, each.difference) for each in (equal, early, missing, surplus)] == [
        (2, 2, 0), (0, 2, 0), (3, 2, 1), (3, 4, 1),
    ]  # fmt: skip
    assert str(press(3).id) in missing.note
    assert str(press(4).id) in surplus.note

    await bus.publish(press(5))
    await die(bus, "clicks_presses", press(5))
    await bus.publish(press(6))
    await die(bus, "gateway_presses", press(6))
    dead = await line(database, bus, await bus.streams.cut())
    [letter] = [letter async for letter in bus.dead_letters.all() if letter.durable == "clicks_presses"]
    await bus.dead_letters.discard(letter)

    # Only what died under the durable of clicks is excused, open or given up.
    assert (dead.difference, str(press(6).id) in dead.note) == (2, True)
    assert (await line(database, bus, await bus.streams.cut())).difference == 2
