"""What the tests of the record share: a broker, the database of clicks, presses to publish."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from carillon.system import SERVICES, System
from services.clicks.store import Clicks
from shared.bus import Bus
from shared.database import Database
from shared.events import ButtonClicked, Person, click_id
from tests.conftest import FreshDatabase
from tests.servers import AnyNats
from tests.shared.record.world import World

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
Press = Callable[[int], ButtonClicked]


@pytest.fixture
async def bus(prepared_nats: AnyNats) -> AsyncIterator[Bus]:
    """A bus on a broker of the test's own."""
    async with Bus.open(prepared_nats.url, service="tests") as opened:
        yield opened


@pytest.fixture
async def database(fresh_database: FreshDatabase) -> AsyncIterator[Database]:
    """An empty database of clicks."""
    async with Database.open(await fresh_database("clicks")) as opened:
        yield opened


@pytest.fixture
async def world(bus: Bus, prepared_nats: AnyNats, fresh_database: FreshDatabase) -> World:
    """A broker and the databases of all four services."""
    urls = {service: await fresh_database(service) for service in SERVICES}
    return World(bus, System(nats_url=prepared_nats.url, database_urls=urls))


@pytest.fixture
def clicks(database: Database) -> Clicks:
    """The memory of clicks."""
    return Clicks(database)


@pytest.fixture
def press() -> Press:
    """A maker of presses, by the update's number."""

    def make(number: int) -> ButtonClicked:
        return ButtonClicked(
            id=click_id(7, number), at=NOW, payload="premium", bot="default", bot_id=7, update_id=number,
            person=Person(telegram_id=1000 + number, first_name="Ada"), chat_id=-100, message_id=1,
        )  # fmt: skip

    return make
