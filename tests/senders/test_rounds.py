"""The rounds as a whole: what they have taken when they are stopped."""

import asyncio
from datetime import timedelta
from typing import Any

from sqlalchemy import text

_HELD = text("SELECT count(*) FROM deliveries WHERE state = 'pending' AND due_at > now()")


async def test_what_stopping_rounds_have_taken_is_sent(house: Any) -> None:
    """Rounds that are stopped at any moment leave nothing that others have to wait for."""
    for step in range(24):
        event = house.asked()
        await house.handle(event.model_copy(update={"not_before": event.at - timedelta(seconds=1)}))
        async with house.rounds():
            await asyncio.sleep(step * 0.001)
        assert await house.database.value(_HELD) == 0, f"stopped after {step} ms"
