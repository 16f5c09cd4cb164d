"""The rounds as a whole: what they have taken when they are stopped, and how little they ask at rest."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as engine_event
from sqlalchemy import text

from services.senders.handlers import rounds

_HELD = text("SELECT count(*) FROM deliveries WHERE state = 'pending' AND due_at > now()")


async def test_what_stopping_rounds_have_taken_is_sent(house: Any) -> None:
    """Rounds that are stopped at any moment leave nothing that others have to wait for."""
    for step in range(24):
        event = house.asked()
        await house.handle(event.model_copy(update={"not_before": event.at - timedelta(seconds=1)}))
        async with house.rounds():
            await asyncio.sleep(step * 0.001)
        assert await house.database.value(_HELD) == 0, f"stopped after {step} ms"


async def test_rounds_that_rest_ask_little(house: Any) -> None:
    """Where nothing happens the database is asked a dozen times a second at most."""
    asked: list[str] = []
    async with house.rounds():
        await asyncio.sleep(1.0)
        engine = house.database._engine.sync_engine
        engine_event.listen(engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
        began = time.monotonic()
        await asyncio.sleep(3.0)
        took = time.monotonic() - began
    assert 1 <= len(asked) / took <= 12


async def test_what_is_due_later_is_sent_in_time(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that is to wait is sent at its time, also by rounds that have been at rest."""
    monkeypatch.setattr(rounds, "REST_SECONDS", 120.0)
    async with house.rounds():
        await asyncio.sleep(0.5)
        not_before = house.asked().at + timedelta(seconds=1.0)
        message_id = await house.handle(house.asked(not_before=not_before))
        await house.until("sent", message_id)
    _, _, history = await house.ledger.message(message_id)
    assert timedelta() <= history[-1]["at"] - not_before < timedelta(seconds=60)
