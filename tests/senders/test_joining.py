"""Messages of others that join campaigns, many at once."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from services.senders.domain.requests import Request
from services.senders.store.attempts import _acceptance
from shared.events import Channel, Lane
from shared.ids import delivery_of
from tests.senders.test_campaign_lists import draft


async def test_batches_that_name_the_same_campaigns_wait_in_one_order(house: Any) -> None:
    """Two batches that join two campaigns the other way round both come through, without a deadlock."""
    first, second = sorted([(await draft(house)).id for _ in range(2)])
    ids = sorted(uuid4() for _ in range(4))

    def batch(*of: tuple[UUID, UUID]) -> list[dict[str, Any]]:
        requests = [
            Request.of_message(house.asked(id=each, lane=Lane.CAMPAIGN, campaign_id=campaign_id))
            for each, campaign_id in of
        ]
        return [_acceptance(each, delivery_of(each.id, Channel.TELEGRAM), None, None) for each in requests]

    one, other = batch((ids[0], first), (ids[1], second)), batch((ids[2], second), (ids[3], first))
    async with asyncio.TaskGroup() as tasks, house.database.begin() as connection:
        await connection.execute(text("SELECT 1 FROM campaigns WHERE id = :id FOR UPDATE"), {"id": first})
        for number, each in enumerate((one, other), 1):
            tasks.create_task(house.ledger._accept_all(each))
            await house.until_blocked(number)
    views = [await house.campaigns.get(each) for each in (first, second)]
    assert [view["joined"] for view in views] == [2, 2]
