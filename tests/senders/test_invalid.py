"""What comes past the door and is invalid: told as failed, counted in its campaign; its id is free."""

import json
import secrets
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from pydantic import ValidationError
from sqlalchemy import text

from services.senders.handlers import dead_letter
from services.senders.handlers.retelling import COPIES
from shared.bus import DeadLetter
from shared.events import MessageFailed, MessageSent
from shared.queries import ListedRecipient
from tests.senders.test_campaign_lists import draft
from tests.senders.test_campaign_moves import view
from tests.senders.test_forgetting import forget, sweep

_OLD = text("""
    UPDATE messages SET request = request || jsonb_build_object('expires_at', '3500-01-01T00:00:00Z')
    WHERE id = :id""")
_ADDRESS = text("""
    UPDATE messages SET request = request || jsonb_build_object('address', CAST(:address AS jsonb))
    WHERE id = :id""")
_RUN = text("UPDATE campaigns SET status = 'running', expires_at = now() + interval '1 hour' WHERE id = :id")


async def die(house: Any, payload: bytes) -> None:
    """Let something that is no message become a dead letter of the campaign lane."""
    letter = DeadLetter(
        number=1, durable="senders_campaign_telegram", subject="messages.campaign.telegram", event="",
        event_key="", reason="unparsable", error="", attempts=1, replay=0, origin="CAMPAIGN:1",
        payload=payload, trace_id=None, died_at=None,
    )  # fmt: skip
    await dead_letter(letter, house.ledger, house.desk.announcer)


async def test_what_cannot_be_read_has_failed_and_counts(house: Any) -> None:
    """It is told once as failed because invalid, in its campaign too; a right one of its id is sent, once."""
    campaign_id = (await draft(house)).id
    await house.database.execute(_RUN, id=campaign_id)
    message_id = uuid4()
    payload = orjson.dumps({"id": str(message_id), "campaign_id": str(campaign_id), "expires_at": "soon"})
    for _ in range(2):
        await die(house, payload)
    assert await house.deliveries(message_id) == [("telegram", "failed", "invalid")]
    (event,) = house.of(MessageFailed)
    assert (event.message_id, event.reason, event.campaign_id) == (message_id, "invalid", campaign_id)
    found = await view(house, campaign_id)
    assert (found.intended, found.failed, found.pending) == (1, 1, 0)
    right = house.asked(id=message_id, lane="campaign", campaign_id=campaign_id)
    for _ in range(2):
        await house.handle(right)
    await die(house, payload)
    found = await view(house, campaign_id)
    assert (found.intended, found.sent, found.failed) == (1, 1, 0)
    assert (house.texts(), len(house.of(MessageSent))) == (["Hello."], 1)
    assert house.of(MessageSent)[0].attempt > event.attempt


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b'{"id": 7}', b'{"id": "x"}'])
async def test_what_has_no_id_is_only_a_dead_letter(house: Any, payload: bytes) -> None:
    """Nothing can be told of what does not say which message it is."""
    await die(house, payload)
    assert house.told == []


async def test_a_corrected_message_is_sent(house: Any) -> None:
    """A message that could not be written gives way to the same id with what was missing, over any chain."""
    reader = await house.recipient(email="reader@carillon.example", telegram_chat_id=42)
    wrong = house.asked(user_id=reader, channels=("email", "telegram"), template="position_failure_tp")
    message_id: UUID = await house.handle(wrong)
    assert {state for _, state, _ in await house.deliveries(message_id)} == {"failed"}
    right = house.asked(id=message_id, user_id=reader, channels=("push", "telegram"))
    for event in (right, wrong, right):
        await house.handle(event)
    assert house.texts() == ["Hello."]
    states = {channel: state for channel, state, _ in await house.deliveries(message_id)}
    assert states == {"email": "failed", "push": "suppressed", "telegram": "sent"}


async def test_a_row_of_before_the_bounds_does_not_keep_others_from_being_told(house: Any) -> None:
    """A request that the ledger kept before times were bounded is left out when requests are told again."""
    old, right = [await house.handle(house.asked()) for _ in range(2)]
    await house.database.execute(_OLD, id=old)
    async with house.database.begin() as connection:
        found = await COPIES[0].events(connection, [str(old), str(right)])
    assert [event.id for event in found] == [right]


async def test_an_address_that_nobody_can_have_is_kept_but_not_taken(house: Any) -> None:
    """A row with an address beyond all bounds fits the tables and queries; at the door it is invalid."""
    for address in ({"telegram_chat_id": 10**30}, {"email": f"{secrets.token_hex(5000)}@example.org"}):
        message_id = await house.handle(house.asked())
        await house.database.execute(_ADDRESS, id=message_id, address=json.dumps(address))
        with pytest.raises(ValidationError):
            house.asked(address=address)
        with pytest.raises(ValidationError):
            ListedRecipient(line=1, address=address)
    reader = await house.recipient(email="reader@carillon.example", telegram_chat_id=42)
    await forget(house, reader)
    await sweep(house)
