"""What people want, and what addresses do not take: opt-outs, muted channels, quiet hours, suppressions."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.senders import api
from services.senders.handlers import Announcer, Rounds
from shared.bus import Refusal, TooLarge
from shared.events import Address, Channel, ChatChanged, Lane, QuietHours
from shared.ids import delivery_of
from shared.queries import (
    AddSuppression,
    LiftSuppression,
    ListSuppressions,
    PutRecipient,
    TellBounce,
    TellChat,
    UnsubscribeRecipient,
)

ANN = "ann@example.org"
SUNDAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


def quiet_now(**changes: Any) -> QuietHours:
    """Return quiet hours that it is in now, for at least an hour."""
    now = datetime.now(UTC)
    return QuietHours.model_validate(
        {"start": (now - timedelta(hours=2)).time(), "end": (now + timedelta(hours=2)).time(), **changes}
    )


async def put(house: Any, user_id: UUID, **fields: Any) -> None:
    """Change somebody in the directory."""
    await house.recipients.put(PutRecipient(cause=uuid4(), user_id=user_id, **fields))


async def send(house: Any, *channels: Channel, lane: Lane = Lane.CAMPAIGN, **fields: Any) -> list[Any]:
    """Send a message, a campaign's unless told otherwise, and return its deliveries."""
    return list(
        await house.deliveries(await house.handle(house.asked(channels=channels, lane=lane, **fields)))
    )


async def test_muted_channels_are_skipped(house: Any) -> None:
    """Nothing goes over a muted channel, the next of the chain is tried; an address named itself counts."""
    user_id = await house.recipient(email=ANN, telegram_chat_id=42, muted=(Channel.EMAIL,))
    chain = (Channel.EMAIL, Channel.TELEGRAM)
    assert await send(house, *chain, user_id=user_id, lane=Lane.TRANSACTIONAL) == [
        ("email", "suppressed", "muted"), ("telegram", "sent", None),
    ]  # fmt: skip
    direct = Address(email=ANN)
    assert await send(house, *chain, user_id=user_id, address=direct, lane=Lane.TRANSACTIONAL) == [
        ("email", "sent", None)
    ]


async def test_an_own_order_is_for_messages_without_one(house: Any) -> None:
    """Somebody's own order comes before the default one, and after that of a message."""
    user_id = await house.recipient(email=ANN, telegram_chat_id=42, channel_order=(Channel.TELEGRAM,))
    assert await send(house, user_id=user_id) == [("telegram", "sent", None)]
    assert await send(house, Channel.EMAIL, user_id=user_id) == [("email", "sent", None)]
    await put(house, user_id, clear=("channel_order",), muted=(Channel.TELEGRAM,))
    assert await send(house, user_id=user_id) == [
        ("push", "suppressed", "no_address"),
        ("email", "sent", None),
    ]


async def test_quiet_hours_hold_at_an_address_too(house: Any) -> None:
    """A campaign that names an address itself waits for the quiet time of whoever it is known to be of."""
    await house.recipient(email=ANN, telegram_chat_id=42, quiet_hours=quiet_now())
    mail, chat = Address(email=ANN.upper()), Address(telegram_chat_id=42)
    assert await send(house, Channel.EMAIL, address=mail) == [("email", "pending", "quiet_hours")]
    assert await send(house, Channel.TELEGRAM, address=chat) == [("telegram", "pending", "quiet_hours")]
    somebody = await house.recipient(telegram_chat_id=43)
    waits = await send(house, Channel.TELEGRAM, user_id=somebody, address=chat)
    assert waits == [("telegram", "pending", "quiet_hours")]
    alert = await send(house, Channel.TELEGRAM, address=chat, lane=Lane.TRANSACTIONAL)
    assert alert == [("telegram", "sent", None)]
    free = await send(house, Channel.EMAIL, address=Address(email="bob@example.org"))
    assert free == [("email", "sent", None)]


async def test_campaigns_wait_for_the_end_of_a_quiet_time(house: Any) -> None:
    """A campaign's message is due at the end of the quiet time, or expires; an alert goes out at once.

    When the quiet hours are taken back, what waits for their end is sent.
    """
    user_id = await house.recipient(telegram_chat_id=42, quiet_hours=quiet_now())
    assert await send(house, user_id=user_id, lane=Lane.TRANSACTIONAL) == [
        ("push", "suppressed", "no_address"), ("email", "suppressed", "no_address"),
        ("telegram", "sent", None),
    ]  # fmt: skip
    long = house.asked(user_id=user_id, lane=Lane.CAMPAIGN, expires_at=datetime.now(UTC) + timedelta(days=1))
    await house.handle(long)
    assert await house.deliveries(long.id) == [("telegram", "pending", "quiet_hours")]
    soon = datetime.now(UTC) + timedelta(seconds=3)
    short = house.asked(user_id=user_id, lane=Lane.CAMPAIGN, expires_at=soon)
    await house.handle(short)
    assert await house.deliveries(short.id) == [("telegram", "pending", "quiet_hours")]
    _, [row], _ = await house.ledger.message(long.id)
    assert timedelta(minutes=115) < row["due_at"] - datetime.now(UTC) <= timedelta(hours=2)

    async with house.rounds():
        await house.until("suppressed", short.id)
        assert await house.deliveries(short.id) == [("telegram", "suppressed", "expired")]
        assert await house.deliveries(long.id) == [("telegram", "pending", "quiet_hours")]
        await put(house, user_id, clear=("quiet_hours",))
        await house.until("sent", long.id)


async def test_an_opt_out_holds_for_addresses_too(house: Any) -> None:
    """Whoever has opted out gets no campaign, neither by user nor by an address of theirs; alerts they do."""
    user_id = await house.recipient(email="Ann@Example.org", telegram_chat_id=42, opted_out=True)
    for address in (Address(email=ANN), Address(telegram_chat_id=42)):
        channel = Channel.EMAIL if address.email else Channel.TELEGRAM
        assert await send(house, channel, address=address) == [(channel, "suppressed", "opted_out")]
        assert await send(house, channel, address=address, lane=Lane.TRANSACTIONAL) == [
            (channel, "sent", None)
        ]
    assert await send(house, Channel.EMAIL, user_id=user_id) == [("email", "suppressed", "opted_out")]


async def test_a_letter_of_a_campaign_can_be_left(house: Any) -> None:
    """Its link is in the header and the text; it takes user and address off campaigns, any number of times.

    Opting in again takes the address off the list; a delivery that nobody knows changes nothing.
    """
    user_id = await house.recipient(email=ANN)
    event = house.asked(user_id=user_id, channels=(Channel.EMAIL,), lane=Lane.CAMPAIGN)
    await house.handle(event)
    delivery_id = delivery_of(event.id, Channel.EMAIL)
    [mail] = house.inbox.postbox.mails
    link = house.desk.unsubscribe_url(delivery_id)
    assert mail.message["List-Unsubscribe"] == f"<{link}>"
    assert link in mail.part("plain").replace("=\n", "")

    announce = house.desk.announcer.recipients
    for known, delivery in ((True, delivery_id), (True, delivery_id), (False, uuid4())):
        command = UnsubscribeRecipient(cause=uuid4(), delivery_id=delivery)
        assert (await api.unsubscribe(command, house.recipients, announce)).known is known
    assert (await house.recipients.view(user_id)).version == 2
    for to in ({"user_id": user_id}, {"address": Address(email=ANN)}):
        assert await send(house, Channel.EMAIL, **to) == [("email", "suppressed", "opted_out")]
        assert await send(house, Channel.EMAIL, lane=Lane.TRANSACTIONAL, **to) == [("email", "sent", None)]

    await put(house, user_id, opted_out=False)
    assert await send(house, Channel.EMAIL, address=Address(email=ANN)) == [("email", "sent", None)]


async def test_a_template_can_be_left_too(house: Any) -> None:
    """A campaign's letter from a template shows the link in HTML and text, once; an alert shows none."""
    variables = {
        "instrument": "EURUSD", "side": "buy", "entry_price": 1, "current_price": 2, "profit_amount": 3,
        "broker_ticket": "7",
    }  # fmt: skip
    said = {"template": "position_failure_tp", "variables": variables, "address": Address(email=ANN)}
    event = house.asked(channels=(Channel.EMAIL,), lane=Lane.CAMPAIGN, **said)
    await house.handle(event)
    await house.handle(house.asked(channels=(Channel.EMAIL,), **said))
    link = house.desk.unsubscribe_url(delivery_of(event.id, Channel.EMAIL))
    campaign, alert = house.inbox.postbox.mails
    for kind in ("plain", "html"):
        assert campaign.part(kind).count(link) == 1
        assert "/u/" not in alert.part(kind)
    markup = campaign.part("html")
    assert markup.index("</table>") < markup.index(link) < markup.index("</body>")


async def test_no_campaign_goes_over_mail_that_cannot_be_left(house: Any) -> None:
    """Where links cannot be signed, a campaign falls back from e-mail, and alerts do not."""
    user_id = await house.recipient(email=ANN, telegram_chat_id=42)
    house.desk = house.replica(unsubscribe_url=None)
    assert await send(house, Channel.EMAIL, Channel.TELEGRAM, user_id=user_id) == [
        ("email", "failed", "channel_off"), ("telegram", "sent", None),
    ]  # fmt: skip
    assert await send(house, Channel.EMAIL, user_id=user_id, lane=Lane.TRANSACTIONAL) == [
        ("email", "sent", None)
    ]


def told(change: str, minutes: int = 0, order: int = 0) -> TellChat:
    """Return what Telegram tells of Ann's chat, some minutes later."""
    at = SUNDAY + timedelta(minutes=minutes)
    return TellChat.model_validate(
        {"cause": uuid4(), "bot": "default", "chat_id": 42, "change": change, "at": at, "order": order}
    )


async def test_what_telegram_tells_of_a_chat_counts_by_its_time(house: Any) -> None:
    """Blocked suppresses the bot in its chat, unblocked lifts it; what comes late changes nothing."""
    announce = house.desk.announcer.chats
    blocked, again = told("blocked", 1, 7), told("unblocked", 1, 8)

    async def changed(command: TellChat) -> bool:
        return (await api.tell_chat(command, house.recipients, announce)).changed

    assert [await changed(each) for each in (told("added"), blocked, blocked)] == [True, True, False]
    assert await send(house, Channel.TELEGRAM, lane=Lane.TRANSACTIONAL) == [
        ("telegram", "suppressed", "blocked")
    ]
    assert [await changed(each) for each in (again, blocked, told("kicked"))] == [True, False, False]
    assert await send(house, Channel.TELEGRAM, lane=Lane.TRANSACTIONAL) == [("telegram", "sent", None)]
    events = house.of(ChatChanged)
    assert [event.change for event in events] == ["added", "blocked", "unblocked"]
    assert len({event.id for event in events}) == 3


async def test_many_chats_at_once_are_told_of_once_each(house: Any) -> None:
    """Whoever tells of a chat while others do publishes no change that another publishes: not all of all."""
    commands = [told("blocked").model_copy(update={"chat_id": 1000 + number}) for number in range(250)]
    announce = house.desk.announcer.chats
    found = await asyncio.gather(*(api.tell_chat(each, house.recipients, announce) for each in commands))
    assert all(each.changed for each in found)
    assert sorted(event.chat_id for event in house.of(ChatChanged)) == [1000 + each for each in range(250)]


async def test_a_change_that_cannot_be_told_holds_back_no_other(house: Any) -> None:
    """What the broker refuses for good is raised, after everything else of its hundred is told and noted."""
    for number in range(30):
        await house.recipients.tell_chat(told("blocked").model_copy(update={"chat_id": 1000 + number}))
    sent: list[int] = []

    async def publish(event: Any) -> None:
        if event.chat_id == 1007:
            raise TooLarge("an event")
        sent.append(event.chat_id)

    announcer = Announcer(publish, house.ledger, house.recipients, house.campaigns)
    for _ in range(2):
        with pytest.raises(TooLarge):
            await announcer.chats()
    assert sorted(sent) == [1000 + number for number in range(30) if number != 7]


async def test_telling_waits_for_nobody_who_is_changing_what_is_told(house: Any) -> None:
    """A row that a transaction holds is told, cannot be noted, and is told again; the others are noted."""
    for number in range(3):
        await house.recipients.tell_chat(told("blocked").model_copy(update={"chat_id": 1000 + number}))
        await house.recipients.put(PutRecipient(cause=uuid4(), user_id=UUID(int=number), telegram_chat_id=5))
    tell = (house.desk.announcer.chats, house.desk.announcer.recipients)
    async with house.database.begin() as connection:
        await connection.execute(text("SELECT FROM chats_told WHERE chat_id = 1001 FOR UPDATE"))
        await connection.execute(
            text("SELECT FROM recipients WHERE user_id = :id FOR UPDATE"), {"id": UUID(int=1)}
        )
        async with asyncio.timeout(60):
            await asyncio.gather(*(each() for each in tell))
    assert [row["chat_id"] for row in await house.recipients.untold_chats(10)] == [1001]
    assert [row["user_id"] for row in await house.recipients.unannounced(10)] == [UUID(int=1)]
    await asyncio.gather(*(each() for each in tell))
    assert not await house.recipients.is_to_tell()


async def test_what_a_crash_left_untold_of_a_chat_is_told_by_the_next_round(house: Any) -> None:
    """A chat's change that is committed and not published is published once, by the rounds."""
    assert await house.recipients.tell_chat(told("blocked"))
    rounds = Rounds(house.desk, house.campaigns, house.desk.announcer)
    for _ in range(2):
        await rounds._untold()
    assert [event.change for event in house.of(ChatChanged)] == ["blocked"]


async def test_the_suppression_list_is_kept_by_hand_too(house: Any) -> None:
    """Bounces and complaints suppress, soft ones do not; an operator adds, lists by pages, and lifts."""
    for kind, email in (("hard", "Gone@example.org"), ("complaint", ANN), ("soft", "full@example.org")):
        command = TellBounce.model_validate({"cause": uuid4(), "email": email, "kind": kind})
        for _ in range(2):
            assert (await api.tell_bounce(command, house.recipients)).suppressed is (kind != "soft")
    add = AddSuppression(cause=uuid4(), channel=Channel.TELEGRAM, address="default:42", reason="blocked")
    added = await api.add_suppression(add, house.recipients)
    assert await send(house, Channel.EMAIL, address=Address(email="gone@example.org")) == [
        ("email", "suppressed", "bounced")
    ]
    assert await send(house, Channel.TELEGRAM) == [("telegram", "suppressed", "blocked")]

    first = await api.list_suppressions(ListSuppressions(limit=2), house.recipients)
    second = await api.list_suppressions(ListSuppressions(limit=2, cursor=first.cursor), house.recipients)
    assert [(each.address, each.reason, each.origin) for each in (*first.items, *second.items)] == [
        ("default:42", "blocked", "operator"), (ANN, "complained", "bounce"),
        ("gone@example.org", "bounced", "bounce"),
    ]  # fmt: skip
    assert second.cursor is None
    found = await api.list_suppressions(ListSuppressions(address="GONE@example.org"), house.recipients)
    assert found.items == second.items

    lift = LiftSuppression(cause=uuid4(), suppression_id=added.id)
    assert await api.lift_suppression(lift, house.recipients) == added
    assert await send(house, Channel.TELEGRAM) == [("telegram", "sent", None)]
    for refused, status in ((api.lift_suppression(lift, house.recipients), 404),
                            (api.add_suppression(add, house.recipients), 409)):  # fmt: skip
        with pytest.raises(Refusal) as problem:
            await refused
        assert problem.value.status == status


@pytest.mark.parametrize(
    ("channel", "address"), [("telegram", "42"), ("telegram", "a b:42"), ("email", "42")]
)
async def test_what_is_no_address_cannot_be_suppressed(house: Any, channel: Any, address: str) -> None:
    """An address that nothing could be sent to is refused with 422."""
    command = AddSuppression(cause=uuid4(), channel=channel, address=address, reason="blocked")
    with pytest.raises(Refusal) as refused:
        await api.add_suppression(command, house.recipients)
    assert refused.value.status == 422


async def test_a_command_works_once(house: Any) -> None:
    """A command that comes again after others, by the same cause, undoes none of them."""
    user_id = uuid4()
    out = PutRecipient(cause=uuid4(), user_id=user_id, opted_out=True, email=ANN)
    for command in (out, PutRecipient(cause=uuid4(), user_id=user_id, opted_out=False), out):
        await house.recipients.put(command)
    view = await house.recipients.view(user_id)
    assert (view.opted_out, view.version, view.email) == (False, 2, ANN)
    await put(house, user_id, clear=("email",))
    assert (await house.recipients.view(user_id)).email is None
