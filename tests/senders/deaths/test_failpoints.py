"""What the death of senders leaves behind, at every place of an attempt, in a whole stack."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import uuid4

import pytest

from shared.bus import Bus
from shared.events import Address, Body, Channel, Lane, MessageRequested
from shared.failpoints import Failpoint
from tests.senders.deaths.conftest import Street

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deaths"), pytest.mark.timeout(300)]

PERSON = 1001
ONCE = ("sent", 1)
ENDS: Mapping[tuple[str, Lane], tuple[str, int]] = {
    ("before_claim", Lane.TRANSACTIONAL): ONCE,
    ("before_claim", Lane.CAMPAIGN): ONCE,
    ("after_claim", Lane.TRANSACTIONAL): ONCE,
    ("after_claim", Lane.CAMPAIGN): ("ambiguous", 0),
    ("after_call", Lane.TRANSACTIONAL): ("sent", 2),
    ("after_call", Lane.CAMPAIGN): ("ambiguous", 1),
    ("after_answer", Lane.TRANSACTIONAL): ("sent", 2),
    ("after_answer", Lane.CAMPAIGN): ("ambiguous", 1),
    ("before_outcome", Lane.TRANSACTIONAL): ONCE,
    ("before_outcome", Lane.CAMPAIGN): ONCE,
    ("before_ack", Lane.TRANSACTIONAL): ONCE,
    ("before_ack", Lane.CAMPAIGN): ONCE,
}
"""How a message ends whose sender died there, and how often the provider took it."""


def test_every_place_is_visited() -> None:
    """There is a case for each lane at each place that has a name."""
    lanes = (Lane.TRANSACTIONAL, Lane.CAMPAIGN)
    places = set(get_args(Failpoint)) - {"after_expansion"}  # a campaign's: see test_campaigns
    assert set(ENDS) == {(name, lane) for name in places for lane in lanes}


@pytest.mark.parametrize(("point", "lane"), ENDS, ids=str)
async def test_a_death_loses_and_doubles_nothing(street: Street, point: str, lane: Lane) -> None:
    """Whoever dies there leaves a message that another process ends as its lane demands, and true books."""
    text, now = f"{point} {lane}", datetime.now(UTC)
    request = MessageRequested(
        id=uuid4(), at=now, lane=lane, channels=(Channel.TELEGRAM,), body=Body(text=text),
        address=Address(telegram_chat_id=PERSON), expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    async with street.senders(SENDERS_FAILPOINT=point) as dying:
        async with Bus.open(street.stack.outside.nats_url, service="tests") as bus:
            await bus.publish(request)
        assert await asyncio.wait_for(dying.wait(), 120) == -9
    state, times = ENDS[point, lane]
    async with street.senders():
        await street.until(
            "SELECT state FROM deliveries WHERE message_id = $1", state, request.id, seconds=120
        )
        books = await street.books()
    assert len(await street.texts(text)) == times
    assert books.balanced, [line for line in books.lines if line.difference] + books.late
    assert books.lost == []
