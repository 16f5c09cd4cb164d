"""What the tests of clicks share: a store on a database of its own, presses and posts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.clicks.store import Clicks
from shared import ids
from shared.database import Database
from shared.events import (
    ButtonClicked,
    Channel,
    ClickAnnotated,
    Lane,
    Person,
    PromoPosted,
    PromoRef,
    click_annotation_id,
    click_id,
    outcome_id,
)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEDULE = ids.derived("schedule", "default")


@pytest.fixture
async def database(fresh_database: Callable[[str], Awaitable[str]]) -> AsyncIterator[Database]:
    """Open an empty database of clicks."""
    async with Database.open(await fresh_database("clicks")) as opened:
        yield opened


@pytest.fixture
def clicks(database: Database) -> Clicks:
    """Return a store of clicks."""
    return Clicks(database)


@pytest.fixture
def press() -> Callable[..., ButtonClicked]:
    """Return a maker of presses: the update's id, minutes after the start, and what else is to differ."""

    def make(update_id: int, minute: float = 0, **fields: Any) -> ButtonClicked:
        return ButtonClicked.model_validate(
            {
                "id": click_id(7, update_id),
                "at": START + timedelta(minutes=minute),
                "payload": "premium",
                "bot": "default",
                "bot_id": 7,
                "update_id": update_id,
                "person": Person(telegram_id=1000 + update_id),
                "chat_id": -1001234567890123,
                "message_id": 2**40,
                **fields,
            }
        )

    return make


@pytest.fixture
def post() -> Callable[..., PromoPosted]:
    """Return a maker of posts: the promo, its payload, the delivery, minutes after the start."""

    def make(
        promo_id: str, payload: str | None, delivery_id: UUID, minute: float = 0, attempt: int = 1
    ) -> PromoPosted:
        at, message_id = START + timedelta(minutes=minute), ids.derived("message", delivery_id)
        return PromoPosted(
            id=outcome_id(delivery_id, attempt, "posted"), at=at, message_id=message_id,
            delivery_id=delivery_id, channel=Channel.TELEGRAM, lane=Lane.PROMO, attempt=attempt, type="promo",
            promo=PromoRef(schedule_id=SCHEDULE, slot=START, promo_id=promo_id, payload=payload),
            bot="default", chat_id=-1001234567890123, provider_message_id="77",
        )  # fmt: skip

    return make


@pytest.fixture
def note() -> Callable[..., ClickAnnotated]:
    """Return a maker of annotations: the press's update, what became known, minutes after the start."""

    def make(update_id: int, minute: float = 0, **metadata: Any) -> ClickAnnotated:
        pressed = click_id(7, update_id)
        return ClickAnnotated(
            id=click_annotation_id(pressed, ids.derived("cause", minute, *sorted(metadata))),
            at=START + timedelta(minutes=minute), click_id=pressed, metadata=metadata,
        )  # fmt: skip

    return make
