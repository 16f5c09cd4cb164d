"""What the tests of scheduler share: stores on a database of their own, a world that listens, a set clock."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from services.scheduler.clock import Clock
from services.scheduler.domain.catalogue import SHIPPED
from services.scheduler.domain.schedule import Wanted
from services.scheduler.domain.timing import Every
from services.scheduler.store import Catalogue, PromoLog, Schedules, Slots
from shared.database import Database
from shared.events import Event

EventT = TypeVar("EventT", bound=Event)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
INTERVAL = 4 * HOUR
WANTED = Wanted(bot="default", timing=Every(INTERVAL), validity=HOUR, chat_ids=(-1001234567890123, 42))
TEXTS = {promo.id: f"*{promo.title}*" for promo in SHIPPED}


def nothing() -> None:
    """Stand for a clock that need not be woken."""


@dataclass
class World:
    """What has been published, and the time; `fails` makes the next so many publishes fail."""

    now: datetime = START
    events: list[Event] = field(default_factory=list)
    fails: int = 0

    async def publish(self, event: Event) -> None:
        """Take an event, or fail as a process that is killed here would."""
        if self.fails > 0:
            self.fails -= 1
            raise ConnectionResetError
        self.events.append(event)

    def of(self, event_class: type[EventT]) -> list[EventT]:
        """Return the distinct events of a class, as a stream with derived ids keeps them."""
        return list({event.id: event for event in self.events if isinstance(event, event_class)}.values())


@pytest.fixture
def world() -> World:
    """Return a world at the start."""
    return World()


@pytest.fixture
async def database(fresh_database: Callable[[str], Awaitable[str]]) -> AsyncIterator[Database]:
    """Open an empty database of scheduler."""
    async with Database.open(await fresh_database("scheduler")) as opened:
        yield opened


@pytest.fixture
def schedules(database: Database) -> Schedules:
    """Return the schedules of the database."""
    return Schedules(database)


@pytest.fixture
def slots(database: Database) -> Slots:
    """Return the slots of the database."""
    return Slots(database)


@pytest.fixture
def catalogue(database: Database) -> Catalogue:
    """Return the catalogue of the database."""
    return Catalogue(database)


@pytest.fixture
def promo_log(database: Database) -> PromoLog:
    """Return the promo log of the database."""
    return PromoLog(database)


@pytest.fixture
def clock(slots: Slots, world: World) -> Clock:
    """Return a clock that shows the world's time."""
    return Clock(slots, world.publish, lambda: world.now)


@pytest.fixture
async def settled(schedules: Schedules) -> Schedules:
    """Return the schedules after the first run, at the start."""
    await schedules.settle_default(WANTED, TEXTS, START)
    return schedules
