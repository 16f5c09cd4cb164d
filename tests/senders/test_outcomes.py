"""What comes of a send when the world is difficult: doubt, throttling, cancelling, dead letters, outages."""

import asyncio
import socket
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from devstack.push.faults import PushFault
from services.senders import handlers
from services.senders.api import get_message, list_messages
from services.senders.channels.telegram import TelegramChannel
from services.senders.domain.limits import Limits
from shared.bots import Bot
from shared.bus import BusUnavailable, DeadLetter, Refusal
from shared.database import Attempts
from shared.events import (
    Address,
    ButtonClicked,
    Channel,
    Event,
    Lane,
    MessageAmbiguous,
    MessageFailed,
    MessageSent,
    MessageSuppressed,
    Person,
    PromoCancelled,
    PromoPosted,
    click_id,
)
from shared.queries import GetMessage, ListMessages
from tests.senders.conftest import PATIENCE

_OVER = text("UPDATE deliveries SET lease_until = now() - interval '1 second' WHERE state = 'sending'")

_WAIT = text("SELECT extract(epoch FROM min(due_at) - now()) FROM deliveries WHERE state = 'pending'")
_PASSED = [
    text("UPDATE deliveries SET due_at = due_at - interval '90 seconds' WHERE state = 'pending'"),
    text("UPDATE governor SET paused_until = paused_until - interval '90 seconds'"),
]


@pytest.mark.parametrize("kind", ["reset_after", "late_success", "status_after", "html_502_after"])
async def test_a_transactional_doubt_is_resent_once_and_marked(house: Any, kind: str) -> None:
    """An alert that may have arrived is sent once more; its outcome says that it may be a duplicate."""
    house.telegram.cloud.faults.add(kind, method="sendMessage", seconds=0.1)
    message_id = await house.handle(house.asked())
    async with house.rounds():
        await house.until("sent", message_id)
    assert len(house.texts()) == 2
    (sent,) = house.of(MessageSent)
    assert (sent.possible_duplicate, sent.attempt) == (True, 2)
    view = await get_message(GetMessage(message_id=message_id), house.ledger)
    assert view.possible_duplicate


async def test_a_second_doubt_is_not_resent(house: Any) -> None:
    """An alert that is in doubt twice is ambiguous; nobody sends it a third time."""
    house.telegram.cloud.faults.add("reset_after", method="sendMessage", times=None)
    message_id = await house.handle(house.asked())
    assert await house.deliveries(message_id) == [("telegram", "ambiguous", "connection_lost")]
    assert len(house.texts()) == 2


@pytest.mark.parametrize("lane", ["campaign", "promo"])
async def test_campaigns_and_promos_in_doubt_are_never_resent(house: Any, lane: str) -> None:
    """A campaign's or promo's message in doubt ends as ambiguous, listed and counted."""
    house.telegram.cloud.faults.add("reset_after", method="sendMessage")
    event = house.due() if lane == "promo" else house.asked(lane=Lane.CAMPAIGN)
    message_id = await house.handle(event)
    await house.handle(event)
    await house.rounds_have_passed()
    assert await house.deliveries(message_id) == [("telegram", "ambiguous", "connection_lost")]
    assert len(house.texts()) == 1
    assert [each.lane for each in house.of(MessageAmbiguous)] == [lane]


async def test_doubts_are_listed(house: Any) -> None:
    """Everything in doubt is listed, newest first and page by page, also for one campaign."""
    house.telegram.cloud.faults.add("reset_after", method="sendMessage", times=5)
    campaign_id, ids = uuid4(), []
    for number in range(6):
        fields = {"campaign_id": campaign_id} if number % 2 else {}
        ids.append(await house.handle(house.asked(lane=Lane.CAMPAIGN, **fields)))
    found, cursor = [], None
    for _ in range(3):
        page = await list_messages(ListMessages(state="ambiguous", cursor=cursor, limit=2), house.ledger)
        found, cursor = [*found, *page.items], page.cursor
    assert ([each.message_id for each in found], cursor) == (ids[4::-1], None)
    assert {each.reason for each in found} == {"connection_lost"}
    page = await list_messages(ListMessages(state="ambiguous", campaign_id=campaign_id), house.ledger)
    assert [each.message_id for each in page.items] == [ids[3], ids[1]]
    with pytest.raises(Refusal):
        await list_messages(ListMessages(state="ambiguous", cursor="x"), house.ledger)


async def test_a_press_settles_a_doubt(house: Any) -> None:
    """A press from the delivery's own chat proves that it arrived; one from elsewhere proves nothing."""
    house.telegram.cloud.faults.add("reset_after", method="sendMessage")
    message_id = await house.handle(house.due())
    delivery_id = house.of(MessageAmbiguous)[0].delivery_id

    async def press(update_id: int, **fields: Any) -> None:
        plain = {
            "id": click_id(123456, update_id), "at": house.due().at, "payload": "premium", "bot": "default",
            "bot_id": 123456, "update_id": update_id, "person": Person(telegram_id=42),
            "delivery_id": delivery_id, "chat_id": 42, "message_id": 9,
        }  # fmt: skip
        event = ButtonClicked.model_validate(plain | fields)
        await handlers.button_clicked([event], house.ledger, house.desk.announcer)

    await press(1, chat_id=43)
    await press(2, bot="other")
    await press(3, delivery_id=uuid4())
    assert house.of(PromoPosted) == []
    await press(4)
    await press(5)
    assert await house.deliveries(message_id) == [("telegram", "sent", "settled")]
    assert [each.provider_message_id for each in house.of(PromoPosted)] == ["9"]


async def test_many_presses_settle_many_doubts_at_once(house: Any) -> None:
    """Of presses that are handled together, each settles its own delivery, once, and a forged one none."""
    house.telegram.cloud.faults.add("reset_after", method="sendMessage", times=3)
    for chat_id in (42, 43, 44):
        await house.handle(house.asked(lane=Lane.CAMPAIGN, address=Address(telegram_chat_id=chat_id)))
    doubts = {each.chat_id: each.delivery_id for each in house.of(MessageAmbiguous)}
    assert len(doubts) == 3

    def press(update_id: int, of: int, chat_id: int | None) -> ButtonClicked:
        return ButtonClicked(
            id=click_id(123456, update_id), at=house.due().at, payload="premium", bot="default",
            bot_id=123456, update_id=update_id, person=Person(telegram_id=update_id),
            delivery_id=doubts[of], chat_id=chat_id, message_id=900 + of,
        )  # fmt: skip

    presses = [press(1, 42, 44), press(2, 42, 42), press(3, 43, 43), press(4, 42, 42), press(5, 44, None)]
    await handlers.button_clicked(presses, house.ledger, house.desk.announcer)
    await handlers.button_clicked(presses, house.ledger, house.desk.announcer)
    told = sorted((each.chat_id, each.provider_message_id) for each in house.of(MessageSent))
    assert told == [(42, "942"), (43, "943")]


@pytest.mark.parametrize(
    ("lane", "state", "count"), [("transactional", "sent", 2), ("campaign", "ambiguous", 1)]
)
async def test_a_killed_sender_leaves_a_doubt(house: Any, lane: str, state: str, count: int) -> None:
    """A send whose process died in mid-call is decided by its lane when the lease is over."""
    house.telegram.cloud.faults.add("slow", method="sendMessage", seconds=60)
    event = house.asked(lane=Lane(lane))
    dying = asyncio.create_task(house.handle(event))
    while not house.texts():
        await asyncio.sleep(0.01)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    assert (await house.deliveries(event.id))[0][1] == "sending"
    await house.database.execute(_OVER)
    async with house.rounds():
        await house.until(state, event.id)
    assert len(house.texts()) == count


async def let_the_pause_pass(house: Any) -> None:
    """See that all that waits does so for the rest of 90 seconds, and let these be over."""
    assert 30 < await house.database.value(_WAIT) <= 90
    for statement in _PASSED:
        await house.database.execute(statement)


async def test_retry_after_pauses_the_chat_for_two_desks(house: Any) -> None:
    """429 is waited out for as long as it says by every replica; the message is sent then, once."""
    house.telegram.cloud.faults.add("retry_after", method="sendMessage", seconds=90)
    first, second, other = house.asked(), house.asked(), house.asked(address={"telegram_chat_id": 43})
    house.chat(43)
    await house.handle(first)
    house.desk = house.replica()
    await house.handle(second)
    await house.handle(other)
    assert (house.texts(), len(house.texts(43))) == ([], 1)
    await let_the_pause_pass(house)
    async with house.rounds():
        await house.until("sent", first.id)
        await house.until("sent", second.id)
    assert (len(house.texts()), house.telegram.cloud.records.by_method["sendMessage", 429]) == (2, 1)


async def test_retry_after_pauses_a_push_service_for_two_desks(house: Any) -> None:
    """A push service that asks for time gets it from every replica, for all of its subscribers."""
    house.push.memory.faults.add(PushFault(kind="status", status=429, retry_after=90))
    events = []
    for _ in range(2):
        user_id = await house.recipient()
        await house.subscribe(user_id)
        events.append(house.asked(user_id=user_id, channels=(Channel.PUSH,)))
    await house.handle(events[0])
    house.desk = house.replica()
    await house.handle(events[1])
    assert house.push.memory.answers == {429: 1}
    await let_the_pause_pass(house)
    async with house.rounds():
        for event in events:
            await house.until("sent", event.id)
    assert house.push.memory.answers == {429: 1, 201: 2}


async def test_a_revoked_token_loses_nothing(house: Any) -> None:
    """While the bot's token is refused its messages wait, uncounted; when it is back they go out once."""
    house.bot.revoked = True
    message_ids = [await house.handle(house.asked()) for _ in range(3)]
    async with house.rounds():
        await asyncio.sleep(1)
        assert house.of(MessageFailed) == []
        house.bot.revoked = False
        for message_id in message_ids:
            await house.until("sent", message_id)
    assert len(house.texts()) == 3


async def test_no_effect_is_retried_three_times_then_fails(house: Any) -> None:
    """A connection that cannot be made is tried again three times; then the delivery has failed."""
    bots = {"default": Bot("default", SecretStr("123456:ABC"))}
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        async with TelegramChannel.open(bots, url, seconds=PATIENCE) as channel:
            desk = house.desk = house.replica(senders={Channel.TELEGRAM: channel})
            message_id = await house.handle(house.asked())
            async with house.rounds():
                await house.until("failed", message_id)
            assert house.of(MessageFailed)[0].attempt == 4
            assert house.of(MessageFailed)[0].reason == "unreachable"
            assert not desk.circuit.is_down("telegram:default")


async def test_a_provider_that_is_down_is_waited_for(house: Any) -> None:
    """When three messages in a row meet no provider, it counts as down and the others are not failed."""
    bots = {"default": Bot("default", SecretStr("123456:ABC"))}
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        async with TelegramChannel.open(bots, url, seconds=PATIENCE) as channel:
            house.desk = house.replica(senders={Channel.TELEGRAM: channel})
            ids = [await house.handle(house.asked(address={"telegram_chat_id": n})) for n in range(50, 56)]
            async with house.rounds():
                await asyncio.sleep(1.0)
            assert house.of(MessageFailed) == []
    for chat_id in range(50, 56):
        house.chat(chat_id)
    house.desk = house.replica()
    async with house.rounds():
        for message_id in ids:
            await house.until("sent", message_id)


async def test_cancelled_before_and_after_it_is_due(house: Any) -> None:
    """A stopped schedule's posts are not sent, whether the cancellation or the post comes first."""
    waiting = house.due()
    house.telegram.cloud.faults.add("retry_after", method="sendMessage", seconds=30)
    await house.handle(waiting)
    stopped = PromoCancelled(
        id=uuid4(), at=waiting.at, schedule_id=waiting.schedule_id, up_to=waiting.slot, reason="stopped"
    )
    await handlers.promo_cancelled(stopped, house.ledger, house.desk.announcer)
    later = house.due(slot=waiting.slot - timedelta(hours=1))
    await house.handle(later)
    for message in (waiting, later):
        assert await house.deliveries(message.id) == [("telegram", "suppressed", "cancelled")]
    assert (len(house.of(MessageSuppressed)), house.texts()) == (2, [])
    after = house.due(43, slot=waiting.slot + timedelta(hours=1))
    house.chat(43)
    await house.handle(after)
    assert (len(house.texts(43)), house.of(PromoPosted)[0].promo.promo_id) == (1, "premium_signals")


def letter(event: Event) -> DeadLetter:
    """Return an event as a dead letter."""
    return DeadLetter(
        number=1, durable="senders_transactional_telegram", subject="messages.transactional.telegram",
        event="message.requested", event_key="k", reason="failed", error="E", attempts=6, replay=0,
        origin="o", payload=event.model_dump_json().encode(), trace_id=None, died_at=None,
    )  # fmt: skip


async def test_a_dead_letter_fails_until_it_is_replayed(house: Any) -> None:
    """A message whose event died is failed(dead_letter); its replay sends it as the next attempt."""
    event = house.asked()
    await handlers.dead_letter(letter(event), house.ledger, house.desk.announcer)
    await handlers.dead_letter(letter(event), house.ledger, house.desk.announcer)
    assert await house.deliveries(event.id) == [("telegram", "failed", "dead_letter")]
    (failed,) = house.of(MessageFailed)
    await house.handle(event)
    assert house.texts() == []
    await house.handle(event, replay=1)
    assert await house.deliveries(event.id) == [("telegram", "sent", None)]
    (sent,) = house.of(MessageSent)
    assert (len(house.texts()), sent.attempt > failed.attempt) == (1, True)


async def test_an_expired_dead_letter_is_suppressed_by_its_replay(house: Any) -> None:
    """A replay after the expiry sends nothing, and its outcome outranks the dead letter."""
    event = house.asked(expires_at=house.asked().at - timedelta(seconds=1))
    await handlers.dead_letter(letter(event), house.ledger, house.desk.announcer)
    await house.handle(event, replay=1)
    assert await house.deliveries(event.id) == [("telegram", "suppressed", "expired")]
    assert house.of(MessageSuppressed)[0].attempt > house.of(MessageFailed)[0].attempt
    assert house.texts() == []


async def test_an_unforeseen_error_is_tried_again_by_its_event(house: Any) -> None:
    """A handler that fails before the attempt is repeated by the stream, and does not wait for the rounds."""
    event, templates = house.asked(), house.desk.templates
    house.desk.limits = None
    with pytest.raises(AttributeError):
        await house.handle(event)
    house.desk = house.replica(templates=templates)
    await house.handle(event)
    assert await house.deliveries(event.id) == [("telegram", "sent", None)]
    await house.handle(event)
    assert len(house.texts()) == 1


async def test_what_the_broker_did_not_take_is_told_later(house: Any) -> None:
    """An outcome that could not be published is published by the rounds; nothing is sent again."""
    away = True

    async def publish(event: Event) -> None:
        if away:
            raise BusUnavailable("away")
        house.told.append(event)

    announcer = handlers.Announcer(publish, house.ledger, house.recipients, house.campaigns)
    house.desk = house.replica(announcer=announcer)
    event = house.asked()
    with pytest.raises(BusUnavailable):
        await house.handle(event)
    assert await house.deliveries(event.id) == [("telegram", "sent", None)]
    await house.handle(event)
    away = False
    assert await announcer.outcomes(older_than=0.0) == 1
    assert await announcer.outcomes(older_than=0.0) == 0
    assert (len(house.of(MessageSent)), len(house.texts())) == (1, 1)


async def test_the_first_attempts_to_one_chat_keep_their_order(house: Any) -> None:
    """Messages to one chat, worked on by two replicas, arrive in the order in which they came."""
    events = [house.asked(body={"text": f"Number {number}"}) for number in range(12)]
    async with house.rounds(), house.rounds(house.replica()):
        await asyncio.gather(*(house.handle(event) for event in events))
        for event in events:
            await house.until("sent", event.id)
    assert house.texts() == [f"Number {number}" for number in range(12)]
    assert house.queues._locks == {}


async def test_a_waiting_message_holds_back_no_other_chat(house: Any) -> None:
    """The bot's rate is kept over many chats: 40 messages at 20/s take two seconds, and not a minute."""
    house.desk = house.replica(Limits())
    for chat_id in range(100, 140):
        house.chat(chat_id)
    events = [house.asked(address={"telegram_chat_id": chat_id}) for chat_id in range(100, 140)]
    began = asyncio.get_running_loop().time()
    async with house.rounds():
        await asyncio.gather(*(house.handle(event) for event in events))
        for event in events:
            await house.until("sent", event.id)
    assert 1.9 <= asyncio.get_running_loop().time() - began < 20


async def test_a_first_fault_shows_while_the_message_waits(house: Any) -> None:
    """Whoever asks after a message is told that an attempt met what nobody foresaw, before it is dead."""
    message_id = await house.handle(house.asked())
    await house.database.execute(text("UPDATE deliveries SET state = 'pending', reason = NULL"))
    assert (await get_message(GetMessage(message_id=message_id), house.ledger)).reason is None
    await Attempts(house.database).fail("senders_transactional_telegram", f"{message_id}~0", "KeyError")
    view = await get_message(GetMessage(message_id=message_id), house.ledger)
    assert (view.state, view.reason) == ("pending", "unforeseen")
