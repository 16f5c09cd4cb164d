"""The gateway trims the streams by itself: once a day, one replica, and only what it may."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from prometheus_client import REGISTRY

from carillon.audit import book_of
from carillon.trim import KEEPING
from services.gateway.handlers import Trimmer
from shared.bus import Bus, answering
from shared.database import Database
from shared.events import ButtonClicked
from shared.queries import Books, Kept
from shared.record import auditing, trimming
from shared.record.ages import Ages, AgeSettings
from shared.record.keeping import keep
from tests.shared.record.test_trimming import some
from tests.shared.record.world import ALL_OF_IT, World

Press = Callable[[int], ButtonClicked]


@asynccontextmanager
async def answers(world: World, *but: str) -> AsyncIterator[Database]:
    """Let every service but these answer for its books; yield gateway's database."""
    async with AsyncExitStack() as stack:
        for service, url in world.system.database_urls.items():
            database = await stack.enter_async_context(Database.open(url, pool_size=2))
            if service not in but:
                given = partial(_audit, world.bus, database), partial(_keep, world.bus, url)
                questions = [
                    next(each for each in kind if each.service == service)
                    for kind in (auditing.QUESTIONS, trimming.QUESTIONS)
                ]
                answering_all = [answering(*each) for each in zip(questions, given, strict=True)]
                await stack.enter_async_context(world.bus.answer(*answering_all))
            if service == "gateway":
                found = database
        yield found


async def _audit(bus: Bus, database: Database, question: Any) -> Books:
    return await book_of(question.service)(question, database, bus.streams)


async def _keep(bus: Bus, url: str, question: Any) -> Kept:
    return await keep(url, bus.streams, question, KEEPING[question.service])


def counted(metric: str, **labels: str) -> float:
    """Return what a metric says."""
    return REGISTRY.get_sample_value(metric, labels) or 0.0


async def test_one_replica_trims_once_a_day(world: World, press: Press) -> None:
    """Whoever comes first trims; nobody does again before a day is over, nor while another is at it."""
    await some(world, press, 0)
    await world.catch_up()
    async with answers(world) as database:
        now = datetime.now(UTC)
        trimmer = Trimmer(database, world.bus, ALL_OF_IT, lambda: now)
        async with database.lock("trim the streams"):
            assert await trimmer.settle()
        untouched = await world.bus.streams.count("CLICKS")
        before = (
            counted("stream_trims_total", outcome="done"),
            counted("stream_events_trimmed_total", stream="CLICKS"),
        )
        assert await trimmer.settle()
        after = (
            counted("stream_trims_total", outcome="done"),
            counted("stream_events_trimmed_total", stream="CLICKS"),
        )
        first = await world.bus.streams.count("CLICKS")
        await some(world, press, 5)
        await world.catch_up()
        now += timedelta(hours=20)
        assert await trimmer.settle()
        same_day = await world.bus.streams.count("CLICKS")
        now += timedelta(hours=4)
        assert await trimmer.settle()

    assert (untouched, first, same_day, await world.bus.streams.count("CLICKS")) == (6, 0, 6, 0)
    assert [now - was for was, now in zip(before, after, strict=True)] == [1, 6]
    assert counted("stream_trim_held_back", stream="CLICKS") == 0
    assert await world.is_whole()


@pytest.mark.parametrize("trouble", ["silent", "unbalanced"])
async def test_trouble_puts_it_off(world: World, press: Press, trouble: str) -> None:
    """A service that does not answer, and books that do not balance, keep every event where it is."""
    await some(world, press, 0)
    await world.catch_up()
    if trouble == "unbalanced":
        async with world.connect("clicks") as clicks:
            await clicks.execute("DELETE FROM marketing_clicks")
    async with answers(world, *(["senders"] if trouble == "silent" else [])) as database:
        trimmer = Trimmer(database, world.bus, ALL_OF_IT, lambda: datetime.now(UTC))

        assert not await trimmer.settle()

    assert await world.bus.streams.count("CLICKS") == 6


@pytest.mark.parametrize(
    ("given", "days"),
    [({}, 30.0), ({"STREAM_DAYS": "7"}, 7.0), ({"STREAM_DAYS": "0"}, None), ({"STREAM_DAYS": ""}, None)],
)
def test_never_is_nothing_or_naught(
    given: dict[str, str], days: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without STREAM_DAYS a month is kept; with 0, or nothing behind it, no event goes for its age."""
    monkeypatch.delenv("STREAM_DAYS", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    assert AgeSettings().ages() == Ages(days, 30.0)
