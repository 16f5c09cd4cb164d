"""Two ids of one person: linked, written to by either, and parted again."""

import asyncio
from contextlib import suppress
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.senders import api
from services.senders.store import AlreadyLinked
from shared.bus import Refusal
from shared.database import Database
from shared.events import Channel, Lane, PushSubscription, RecipientChanged
from shared.ids import user_of_telegram
from shared.queries import (
    AddPushSubscription,
    ForgetRecipient,
    GetRecipient,
    LinkUser,
    PutRecipient,
    RecipientView,
    UnlinkUser,
)

ANN, BEN = 42, 43


async def link(house: Any, user_id: UUID, telegram_id: int = ANN, cause: UUID | None = None) -> RecipientView:
    """Let senders answer a LinkUser."""
    command = LinkUser(cause=cause or uuid4(), user_id=user_id, telegram_id=telegram_id)
    return await api.link_user(command, house.recipients, house.desk.announcer.recipients)


async def unlink(house: Any, user_id: UUID) -> RecipientView:
    """Let senders answer an UnlinkUser."""
    command = UnlinkUser(cause=uuid4(), user_id=user_id)
    return await api.unlink_user(command, house.recipients, house.desk.announcer.recipients)


async def put(house: Any, user_id: UUID, **fields: Any) -> None:
    """Change somebody in the directory."""
    await house.recipients.put(PutRecipient(cause=uuid4(), user_id=user_id, **fields))


async def test_a_linked_person_is_one_recipient(house: Any) -> None:
    """Addresses merge, consent is united in the stricter sense, and either id shows the one recipient."""
    person = user_of_telegram(ANN)
    await put(house, person, telegram_chat_id=ANN, bot="default", role="SUBSCRIBER", muted=(Channel.PUSH,))
    user_id = await house.recipient(email="ann@example.org", language="es", muted=(Channel.EMAIL,))
    await put(house, person, opted_out=True, language="en")
    subscription = PushSubscription(endpoint="https://push.example/1", p256dh="p", auth="a")
    await house.recipients.add_subscription(
        AddPushSubscription(cause=uuid4(), user_id=person, subscription=subscription)
    )

    linked = await link(house, user_id)

    assert (linked.email, linked.telegram_chat_id, linked.bot) == ("ann@example.org", ANN, "default")
    assert (linked.language, linked.role, linked.opted_out) == ("es", "SUBSCRIBER", True)
    assert (linked.muted, linked.telegram_id) == ((Channel.EMAIL, Channel.PUSH), ANN)
    assert linked.push_subscriptions == (subscription,)
    assert await api.get_recipient(GetRecipient(user_id=person), house.recipients) == linked
    told = {event.user_id: event for event in house.of(RecipientChanged)}
    assert (told[person].linked_to, told[user_id].telegram_id) == (user_id, ANN)


async def test_messages_to_either_id_reach_the_one_person(house: Any) -> None:
    """What is sent to the user goes to his Telegram chat; what the Telegram user decides holds for both."""
    person, user_id = user_of_telegram(ANN), await house.recipient(email="ann@example.org")
    await put(house, person, telegram_chat_id=ANN, bot="default")
    await link(house, user_id)

    await house.handle(house.asked(user_id=user_id))
    mail = await house.handle(house.asked(user_id=person, channels=(Channel.EMAIL,)))
    await put(house, person, opted_out=True)
    campaign = await house.handle(house.asked(user_id=user_id, lane=Lane.CAMPAIGN))

    assert house.texts(ANN) == ["Hello."]
    assert await house.deliveries(mail) == [("email", "sent", None)]
    assert await house.deliveries(campaign) == [("telegram", "suppressed", "opted_out")]


async def test_parted_again_both_keep_what_was_decided(house: Any) -> None:
    """After unlinking, the chat is the Telegram user's alone, and an opt-out of either holds for both."""
    person, user_id = user_of_telegram(ANN), await house.recipient(email="ann@example.org")
    await put(house, person, telegram_chat_id=ANN, bot="default", role="ADMIN")
    await link(house, user_id)
    await put(house, user_id, opted_out=True)

    parted = await unlink(house, user_id)

    assert (parted.telegram_chat_id, parted.telegram_id, parted.role) == (None, None, None)
    assert (parted.email, parted.opted_out) == ("ann@example.org", True)
    alone = await api.get_recipient(GetRecipient(user_id=person), house.recipients)
    assert (alone.user_id, alone.telegram_chat_id, alone.role) == (person, ANN, "ADMIN")
    assert (alone.email, alone.opted_out) == (None, True)
    with pytest.raises(Refusal) as refused:
        await unlink(house, user_id)
    assert refused.value.status == 404
    assert (await link(house, user_id)).telegram_id == ANN


async def test_a_link_is_made_once_and_with_nobody_else(house: Any) -> None:
    """The same link again is the same; another for either of the two is refused, and changes nothing."""
    user_id, other = await house.recipient(), await house.recipient()
    cause = uuid4()
    first = await link(house, user_id, cause=cause)
    assert await link(house, user_id, cause=cause) == first == await link(house, user_id)

    chat = await house.recipient(telegram_chat_id=99)
    person = user_of_telegram(ANN)
    for who, telegram_id in ((user_id, BEN), (other, ANN), (person, BEN), (chat, BEN), (uuid4(), ANN)):
        with pytest.raises(Refusal) as refused:
            await link(house, who, telegram_id)
        assert refused.value.status == 409
    with pytest.raises(Refusal) as refused:
        await link(house, user_of_telegram(BEN), BEN)
    assert refused.value.status == 409
    assert await house.recipients.view(user_of_telegram(BEN)) is None
    assert await house.recipients.view(user_id) == first


async def test_what_is_decided_meanwhile_is_not_lost(house: Any) -> None:
    """An opt-out that comes while two are linked, or parted, holds for both, in any order."""
    for telegram_id in range(100, 108):
        person, user_id = user_of_telegram(telegram_id), await house.recipient(email="ann@example.org")
        await asyncio.gather(
            link(house, user_id, telegram_id),
            put(house, person, opted_out=True),
            put(house, person, language="es"),
        )
        both = [await house.recipients.view(each) for each in (person, user_id)]
        assert [(view.user_id, view.opted_out, view.language) for view in both] == [(user_id, True, "es")] * 2
        await put(house, person, opted_out=False)
        await asyncio.gather(unlink(house, user_id), put(house, person, opted_out=True))
        assert (await house.recipients.view(person)).opted_out


async def test_who_is_forgotten_while_he_is_linked_is_forgotten_whole(house: Any, database: Database) -> None:
    """Whatever id he is named by, and whoever began first: nothing of him stays that is in anybody's way."""
    user_id = await house.recipient(email="ann@example.org")
    person = user_of_telegram(ANN)
    await put(house, person, telegram_chat_id=ANN)
    async with database.begin() as holding:
        await holding.execute(
            text("SELECT 1 FROM recipients WHERE user_id = :id FOR UPDATE"), {"id": user_id}
        )
        linking = asyncio.create_task(link(house, user_id))
        await house.until_blocked()
        command = ForgetRecipient(cause=uuid4(), user_id=person)
        forgetting = asyncio.create_task(house.recipients.forget(command, uuid4()))
        await house.until_blocked(2)
    await asyncio.gather(linking, forgetting, return_exceptions=True)
    assert {await house.recipients.view(each) for each in (user_id, person)} == {None}
    assert (await link(house, uuid4())).telegram_id == ANN


async def test_commands_about_the_same_people_side_by_side(house: Any) -> None:
    """Linking, parting, forgetting and browsers that change hands wait for each other: none fails."""
    people = [uuid4(), user_of_telegram(ANN), user_of_telegram(BEN)]
    chance, recipients = Random(5), house.recipients  # noqa: S311 - nothing secret

    def command() -> Any:
        cause, user_id = uuid4(), chance.choice(people)
        endpoint = f"https://push.example/{chance.randrange(2)}"
        subscription = PushSubscription(endpoint=endpoint, p256dh=str(cause), auth="a")
        add = AddPushSubscription(cause=cause, user_id=user_id, subscription=subscription)
        return chance.choice(
            [
                lambda: recipients.link(LinkUser(cause=cause, user_id=people[0], telegram_id=ANN)),
                lambda: recipients.unlink(UnlinkUser(cause=cause, user_id=user_id)),
                lambda: recipients.forget(ForgetRecipient(cause=cause, user_id=user_id), uuid4()),
                lambda: recipients.delete_subscription(endpoint),
                lambda: recipients.add_subscription(add),
                lambda: recipients.add_subscription(add),
            ]
        )()

    async def work() -> None:
        for _ in range(60):
            with suppress(AlreadyLinked):
                await command()

    await asyncio.gather(*(work() for _ in range(8)))
