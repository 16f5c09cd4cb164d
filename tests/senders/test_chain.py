"""One message over its chain of channels, between simulated providers."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from devstack.smtp.faults import SmtpFault
from devstack.telegram import people
from services.senders.api import get_message
from services.senders.handlers import writing
from shared.events import (
    Address,
    Body,
    Channel,
    ChatChanged,
    Lane,
    MessageFailed,
    MessageSent,
    MessageSuppressed,
    State,
)
from shared.queries import GetMessage

ALERT = {
    "template": "position_failure_tp",
    "variables": {
        "instrument": "EURUSD", "side": "buy", "entry_price": "1.1", "current_price": "1.2",
        "profit_amount": "20", "broker_ticket": "T-1",
    },
}  # fmt: skip
CHAIN = (Channel.PUSH, Channel.EMAIL, Channel.TELEGRAM)


async def test_an_expired_subscription_falls_back_to_mail_as_one_message(house: Any) -> None:
    """410 deletes the subscription and fails push; e-mail ends the chain; telegram is never tried."""
    user_id = await house.recipient(email="ann@example.org", telegram_chat_id=42)
    house.push.memory.subscriptions[await house.subscribe(user_id)].expired = True
    message_id = await house.handle(house.asked(user_id=user_id, channels=CHAIN, **ALERT))
    assert await house.deliveries(message_id) == [
        ("push", "failed", "expired_subscription"), ("email", "sent", None),
    ]  # fmt: skip
    assert await house.recipients.subscriptions(user_id) == []
    assert [event.last for event in house.of(MessageFailed)] == [False]
    assert [event.channel for event in house.of(MessageSent)] == [Channel.EMAIL]
    assert [list(mail.recipients) for mail in house.inbox.postbox.mails] == [["ann@example.org"]]
    assert house.texts() == []
    view = await get_message(GetMessage(message_id=message_id), house.ledger)
    assert (view.state, len(view.deliveries), view.possible_duplicate) == (State.SENT, 2, False)


async def test_a_whole_chain_may_be_walked(house: Any) -> None:
    """Without subscription, and with mail refused for good, Telegram gets it; the mailbox is suppressed."""
    user_id = await house.recipient(email="gone@example.org", telegram_chat_id=42)
    refusal = SmtpFault(stage="rcpt", kind="reply", code=550, text="5.1.1 no such user", times=None)
    house.inbox.postbox.faults.add(refusal)
    message_id = await house.handle(house.asked(user_id=user_id, channels=CHAIN, **ALERT))
    states = await house.deliveries(message_id)
    assert [(channel, state) for channel, state, _ in states] == [
        ("push", "suppressed"), ("email", "failed"), ("telegram", "sent"),
    ]  # fmt: skip
    assert len(house.texts()) == 1


async def test_sent_if_any_subscription_takes_it(house: Any) -> None:
    """Of two browsers one has expired: the message is sent, and only the expired one is forgotten."""
    user_id = await house.recipient()
    gone, alive = await house.subscribe(user_id), await house.subscribe(user_id)
    house.push.memory.subscriptions[gone].expired = True
    message_id = await house.handle(house.asked(user_id=user_id, channels=CHAIN, **ALERT))
    assert await house.deliveries(message_id) == [("push", "sent", None)]
    (kept,) = await house.recipients.subscriptions(user_id)
    assert kept.endpoint.endswith(alive)


async def test_a_block_fails_the_first_and_suppresses_the_rest(house: Any) -> None:
    """The send that meets a block is failed(blocked), later ones are suppressed; the change is told."""
    people.flag(house.telegram.cloud, house.chat(42), "user_blocked", value=True)
    first, second = house.asked(), house.asked()
    assert await house.deliveries(await house.handle(first)) == [("telegram", "failed", "blocked")]
    calls = house.telegram.cloud.records.calls.total
    assert await house.deliveries(await house.handle(second)) == [("telegram", "suppressed", "blocked")]
    assert house.telegram.cloud.records.calls.total == calls
    assert [(each.chat_id, each.change) for each in house.of(ChatChanged)] == [(42, "blocked")]


async def test_a_migrated_group_is_healed_for_good(house: Any) -> None:
    """A group that became a supergroup gets the message once, by its new id; the next goes there at once."""
    old = house.chat(-500)
    new = people.migrate(house.telegram.cloud, old)
    assert await house.deliveries(await house.handle(house.due(-500))) == [("telegram", "sent", None)]
    calls = house.telegram.cloud.records.calls.total
    await house.handle(house.due(-500, id=uuid4()))
    assert (len(house.texts(new.id)), house.telegram.cloud.records.calls.total) == (2, calls + 1)
    await house.desk.announcer.migrations()
    await house.desk.announcer.migrations()
    assert [(each.change, each.new_chat_id) for each in house.of(ChatChanged)] == [("migrated", new.id)]


async def test_a_chat_that_moved_twice_is_found_in_one_call(house: Any) -> None:
    """What is remembered of chats leads to the newest id, however often they moved."""
    await house.recipients.migrate("default", -1, -2)
    await house.recipients.migrate("default", -2, -3)
    assert await house.recipients.chat_now("default", -1) == (-3, None)
    assert await house.recipients.chat_now("other", -1) == (-1, None)


async def test_an_opted_out_recipient_gets_no_campaign_but_alerts(house: Any) -> None:
    """Opting out suppresses campaigns on the whole chain; transactional messages go on."""
    user_id = await house.recipient(telegram_chat_id=42, opted_out=True)
    chain = (Channel.TELEGRAM, Channel.EMAIL)
    campaign = await house.handle(house.asked(user_id=user_id, lane=Lane.CAMPAIGN, channels=chain))
    assert await house.deliveries(campaign) == [("telegram", "suppressed", "opted_out")]
    assert [event.last for event in house.of(MessageSuppressed)] == [True]
    alert = await house.handle(house.asked(user_id=user_id))
    assert await house.deliveries(alert) == [("telegram", "sent", None)]


async def test_an_expired_message_is_never_sent(house: Any) -> None:
    """After its expiry a message is suppressed, its chain included."""
    late = house.asked(expires_at=house.asked().at - timedelta(seconds=1), channels=tuple(reversed(CHAIN)))
    assert await house.deliveries(await house.handle(late)) == [("telegram", "suppressed", "expired")]
    assert house.texts() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"template": "no_such_template"},
        {"template": "position_failure_tp", "variables": {"side": "buy"}},
        {"body": Body(text="*unclosed", format="markdown_v2")},
        {"body": Body(text=" ")},
    ],
    ids=["template", "variables", "markdown", "blank"],
)
async def test_what_cannot_be_said_is_invalid(house: Any, wrong: dict[str, Any]) -> None:
    """A request that came past the door and makes no sense fails as invalid, without a call."""
    message_id = await house.handle(house.asked(**wrong))
    assert await house.deliveries(message_id) == [("telegram", "failed", "invalid")]
    assert house.telegram.cloud.records.calls.total == 0


async def test_a_channel_that_is_off_is_passed_over(house: Any) -> None:
    """A channel without settings fails with channel_off and the chain goes on."""
    house.desk = house.replica(senders={Channel.TELEGRAM: house.senders[Channel.TELEGRAM]})
    event = house.asked(
        address=Address(telegram_chat_id=42, email="ann@example.org"),
        channels=(Channel.EMAIL, Channel.TELEGRAM),
    )
    assert await house.deliveries(await house.handle(event)) == [
        ("email", "failed", "channel_off"), ("telegram", "sent", None),
    ]  # fmt: skip


async def test_what_is_said_to_many_is_parsed_once(house: Any) -> None:
    """A text that Telegram takes is checked for the first who gets it; one that it refuses, for everybody."""
    for chat_id in (42, 43):
        house.chat(chat_id)
    before = writing._check.cache_info()
    for text, state in (("*News* of the day", "sent"), ("*News of the day", "failed")):
        for chat_id in (42, 43):
            body = Body(text=text, format="markdown_v2")
            asked = house.asked(body=body, address=Address(telegram_chat_id=chat_id))
            assert (await house.deliveries(await house.handle(asked)))[0][1] == state
    after = writing._check.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 3)
