"""What changes several lines of the log locks them in one order: two at once wait, and not for each other."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.gateway.store import Logged, UpdateLog
from shared.database import Database
from shared.events import RecipientForgotten
from shared.ids import user_of_telegram
from tests.locks import free_behind_first

ANN, MANY = 5, 8
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FORGOTTEN = RecipientForgotten(id=uuid4(), at=NOW, user_id=user_of_telegram(ANN), version=2)


@pytest.mark.parametrize(
    "act",
    [lambda log: log.purge_texts(NOW + timedelta(days=1)), lambda log: log.forget(FORGOTTEN)],
    ids=["words", "somebody"],
)
async def test_lines_are_locked_in_one_order(
    database: Database, act: Callable[[UpdateLog], Awaitable[Any]]
) -> None:
    """Whoever waits for the first line has locked none behind it, so that nobody there can wait for him."""
    log = UpdateLog(database)
    lines = [
        Logged(
            bot_id=7, update_id=number, bot="default", kind="message", user_id=user_of_telegram(ANN),
            chat_id=ANN, text="x", status="handled", received_at=NOW,
        )
        for number in range(MANY)
    ]  # fmt: skip
    await log.add(lines)
    assert await free_behind_first(database, "telegram_webhooks", "bot_id, update_id", lambda: act(log)) == 7
