"""Forgetting somebody: nothing of theirs is left, what was counted stays counted, and all are told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.senders import api
from services.senders.domain.requests import Request
from services.senders.handlers import Rounds
from services.senders.store import erasing
from shared.bus import Refusal
from shared.events import (
    Address,
    Channel,
    Lane,
    MessageSuppressed,
    Outcome,
    RecipientChanged,
    RecipientForgotten,
)
from shared.ids import user_of_telegram
from shared.push import PushServices
from shared.queries import (
    AddPushSubscription,
    CampaignRecipient,
    CreateCampaign,
    ForgetRecipient,
    Forgotten,
    LinkUser,
    PutRecipient,
    RecipientView,
    TellBounce,
    TellChat,
)
from tests.senders.conftest import SLOT

SENDING = text("SELECT count(*) FROM deliveries WHERE state = 'sending'")
ANN, CHAT = "Ann.Secret@example.org", 7654321
WORDS = ("ann.secret", "sesame", str(CHAT))
TABLES = (
    "recipients", "push_subscriptions", "suppressions", "messages", "deliveries", "delivery_history",
    "campaign_recipients", "chats_told", "forgotten_recipients", "commands_done",
)  # fmt: skip


async def forget(house: Any, user_id: UUID, cause: UUID | None = None) -> Forgotten:
    """Let senders answer a ForgetRecipient."""
    command = ForgetRecipient(cause=cause or uuid4(), user_id=user_id)
    return await api.forget_recipient(command, house.recipients, house.desk.announcer.forgotten)


async def leftovers(house: Any, *words: str) -> set[tuple[str, str]]:
    """Return which words are anywhere in the tables of senders, and where."""
    found = set()
    for table in TABLES:
        rows = await house.database.rows(text(f"SELECT row_to_json(t)::text AS row FROM {table} t"))  # noqa: S608
        found |= {(table, word) for row in rows for word in words if word in row["row"].lower()}
    return found


async def sweep(house: Any) -> None:
    """Let the rounds do what they do every second, and every ten minutes."""
    rounds = Rounds(house.desk, house.campaigns, house.desk.announcer)
    await rounds._untold()
    await rounds._forget()
    await rounds._tidy()


async def known_everywhere(house: Any) -> tuple[UUID, UUID]:
    """Return the two ids of a linked person who has left traces in every table."""
    house.chat(CHAT)
    user_id, person = await house.recipient(email=ANN, language="es"), user_of_telegram(CHAT)
    await house.recipients.put(
        PutRecipient(cause=uuid4(), user_id=person, telegram_chat_id=CHAT, bot="default", role="SUBSCRIBER")
    )
    await house.recipients.link(LinkUser(cause=uuid4(), user_id=user_id, telegram_id=CHAT))
    await house.subscribe(user_id)
    await house.recipients.bounced(TellBounce(cause=uuid4(), email=ANN.upper(), kind="complaint"))
    told = {"bot": "default", "chat_id": CHAT, "at": datetime.now(UTC), "cause": uuid4()}
    await house.recipients.tell_chat(TellChat.model_validate({**told, "change": "added"}))
    return user_id, person


def says(house: Any, **fields: Any) -> Any:
    """Return a request that says a word that is to be forgotten."""
    return house.asked(body={"text": "Open sesame."}, **fields)


async def test_nothing_is_left_of_somebody_but_the_sums(house: Any) -> None:
    """Directory, texts and addresses are gone, also where a message or a list named the address itself.

    What waited is cancelled; sent messages stay sent; both ids are told of, once, above their versions.
    """
    user_id, person = await known_everywhere(house)
    later = datetime.now(UTC) + timedelta(minutes=30)
    sent = [
        await house.handle(says(house, user_id=person)),
        await house.handle(says(house, address=Address(telegram_chat_id=CHAT))),
        await house.handle(says(house, user_id=user_id, channels=(Channel.PUSH,))),
    ]
    waiting = await house.handle(says(house, user_id=user_id, not_before=later))
    mailed = await house.handle(says(house, address=Address(email=ANN), channels=(Channel.EMAIL,)))
    other = await house.handle(says(house, address=Address(telegram_chat_id=4242)))
    before = {each: (await house.deliveries(each))[0][1] for each in (*sent, mailed, other)}
    recipients = [
        CampaignRecipient(address=Address(email=ANN.lower()), variables={"word": "sesame"}),
        CampaignRecipient(user_id=person, variables={"word": "sesame"}), CampaignRecipient(user_id=uuid4()),
    ]  # fmt: skip
    campaign = CreateCampaign.model_validate(
        {"campaign_id": uuid4(), "body": {"text": "News"}, "expires_at": later, "recipients": recipients}
    )
    await house.campaigns.add(campaign)
    assert len({table for table, _ in await leftovers(house, *WORDS)}) >= 6

    cause = uuid4()
    forgotten = await forget(house, person, cause)
    await sweep(house)

    assert (set(forgotten.user_ids), forgotten.messages) == ({user_id, person}, 3)
    assert await leftovers(house, *WORDS) == {("messages", "sesame")}, "but for what somebody else was told"
    assert "sesame" in str((await house.ledger.message(other))[0]["request"])
    assert not await leftovers(house, str(person), str(user_id)) - {
        ("forgotten_recipients", str(person)), ("forgotten_recipients", str(user_id)),
    }  # fmt: skip
    assert await house.deliveries(waiting) == [("telegram", "suppressed", "cancelled")]
    assert {each: (await house.deliveries(each))[0][1] for each in before} == before
    assert await house.campaigns.is_list_whole(campaign.campaign_id)

    versions = {event.user_id: event.version for event in house.of(RecipientChanged)}
    told = {event.user_id: event.version for event in house.of(RecipientForgotten)}
    assert told.keys() == {user_id, person}
    assert all(told[each] > versions.get(each, 0) for each in told)
    assert (await forget(house, person, cause)).messages == 0
    assert len(house.of(RecipientForgotten)) == 2
    assert await house.recipients.suppressed(Channel.EMAIL, ANN) == "complained"


async def test_who_comes_back_is_somebody_new(house: Any) -> None:
    """A forgotten person who writes again is told of above what was told before, with nothing of before."""
    user_id, _ = await known_everywhere(house)
    await forget(house, user_id)
    await sweep(house)

    await house.recipients.put(PutRecipient(cause=uuid4(), user_id=user_id, email="new@example.org"))
    await house.desk.announcer.recipients()

    view = await house.recipients.view(user_id)
    assert (view.telegram_chat_id, view.language, view.push_subscriptions) == (None, None, ())
    [forgotten] = [event for event in house.of(RecipientForgotten) if event.user_id == user_id]
    assert house.of(RecipientChanged)[-1].version > forgotten.version


async def test_what_waited_while_somebody_was_forgotten_does_not_bring_them_back(house: Any) -> None:
    """A command whose cause is older than the forgetting is ignored; a younger one makes somebody new."""
    user_id, _ = await known_everywhere(house)
    before = datetime.now(UTC)
    await forget(house, user_id)

    async def put(at: datetime | None) -> RecipientView:
        command = PutRecipient(cause=uuid4(), user_id=user_id, language="en", at=at)
        return await api.put_recipient(command, house.recipients, house.desk.announcer.recipients)

    async def subscribe(at: datetime | None) -> RecipientView:
        made = house.push.memory.subscribe("https://fcm.googleapis.com", None, None).listing()
        command = {"cause": uuid4(), "user_id": user_id, "subscription": made, "at": at}
        parsed = AddPushSubscription.model_validate(command)
        tell = house.desk.announcer.recipients
        return await api.add_push_subscription(parsed, house.recipients, tell, PushServices())

    assert await put(before) == RecipientView(user_id=user_id, version=0)
    with pytest.raises(Refusal) as refused:
        await subscribe(before)
    assert refused.value.status == 410
    assert await house.recipients.view(user_id) is None
    after = datetime.now(UTC)
    assert (await put(after)).language == "en"
    assert len((await subscribe(after)).push_subscriptions) == 1
    version = (await put(before)).version
    assert (await house.recipients.view(user_id)).version == version, "nothing was changed"
    assert len((await subscribe(None)).push_subscriptions) == 2


async def test_what_comes_late_reaches_nobody_and_stays_nowhere(house: Any) -> None:
    """A message of before that arrives after, or that a crash has left, is not sent, and is stripped."""
    user_id, _ = await known_everywhere(house)
    late = says(house, user_id=user_id, lane=Lane.CAMPAIGN)
    command = ForgetRecipient(cause=uuid4(), user_id=user_id)
    await house.recipients.forget(command, nobody=uuid4())  # and the process dies before it tells anybody

    await house.handle(late)
    assert await house.deliveries(late.id) == [("telegram", "suppressed", "no_address")]
    await sweep(house)

    assert house.texts(CHAT) == []
    assert await leftovers(house, "sesame") == set()
    assert {event.user_id for event in house.of(RecipientForgotten)} >= {user_id}


async def test_no_private_chat_of_a_promo_is_left(house: Any) -> None:
    """A post in somebody's own chat stays a post, in nobody's chat; what waits of it is cancelled."""
    _, person = await known_everywhere(house)
    sent = await house.handle(house.due(CHAT))
    waiting = house.due(CHAT, slot=SLOT + timedelta(hours=4))
    await house.ledger.accept(Request.of_promo(waiting))
    group = await house.handle(house.due(-4711, slot=SLOT + timedelta(hours=8)))
    assert len(await leftovers(house, str(CHAT)) & {("messages", str(CHAT)), ("deliveries", str(CHAT))}) == 2

    await forget(house, person)
    await sweep(house)

    assert await leftovers(house, str(CHAT)) == set()
    assert await house.deliveries(sent) == [("telegram", "sent", None)]
    assert await house.deliveries(waiting.id) == [("telegram", "suppressed", "cancelled")]
    assert (await house.ledger.message(group))[0]["request"]["address"]["telegram_chat_id"] == -4711
    await house.desk.announcer.outcomes(older_than=0)
    told = [event for event in house.of(MessageSuppressed) if event.message_id == waiting.id]
    assert [(event.chat_id, event.promo.slot) for event in told] == [(None, waiting.slot)]


async def test_what_comes_late_for_a_private_chat_is_nobodys(house: Any) -> None:
    """A post or reply of before that comes after the forgetting is neither sent nor kept; a later one is."""
    _, person = await known_everywhere(house)
    late = house.due(CHAT), says(house, address=Address(telegram_chat_id=CHAT))
    await forget(house, person)
    await sweep(house)

    for event in (*late, *late):
        await house.handle(event)
    await sweep(house)

    assert house.texts(CHAT) == []
    assert await leftovers(house, *WORDS) == set()
    assert {str(await house.deliveries(event.id)) for event in late} == {
        "[('telegram', 'suppressed', 'cancelled')]"
    }
    again = await house.handle(says(house, address=Address(telegram_chat_id=CHAT)))
    assert await house.deliveries(again) == [("telegram", "sent", None)]


async def test_a_send_that_ends_after_the_forgetting_tells_of_nobody(house: Any) -> None:
    """What was under way ends as it ends; its outcome names neither person nor chat."""
    _, person = await known_everywhere(house)
    house.telegram.cloud.faults.add("late_success", method="sendMessage", seconds=60, times=2)
    events = says(house, user_id=person), house.due(CHAT)
    sending = [asyncio.create_task(house.handle(event)) for event in events]
    async with asyncio.timeout(60):
        while await house.database.value(SENDING) < 2:
            await asyncio.sleep(0.01)
    await forget(house, person)
    await sweep(house)
    while house.telegram.cloud.faults.in_force:
        await asyncio.sleep(0.005)
    house.telegram.cloud.clock.advance(60)
    await asyncio.gather(*sending)

    outcomes = [each for each in house.told if isinstance(each, Outcome)]
    assert {each.message_id for each in outcomes} == {event.id for event in events}
    assert not {each.chat_id for each in outcomes} - {None}
    assert person not in {each.user_id for each in outcomes}
    assert await leftovers(house, *WORDS) == set()


async def test_somebody_who_was_only_written_to_is_forgotten_too(house: Any) -> None:
    """An id that the directory never knew is told of all the same: others may know it."""
    stranger = uuid4()
    await house.handle(says(house, user_id=stranger))

    assert (await forget(house, stranger)).messages == 1

    assert [event.user_id for event in house.of(RecipientForgotten)] == [stranger]
    assert await leftovers(house, "sesame") == set()


async def test_a_mailbox_is_forgotten_with_whoever_it_is_given_for(house: Any) -> None:
    """Messages to a mailbox that no recipient has are nobody's when it is given, in whatever case."""
    await house.handle(says(house, address=Address(email=ANN), channels=(Channel.EMAIL,)))
    command = ForgetRecipient(cause=uuid4(), user_id=uuid4(), emails=(ANN.upper(),))
    await api.forget_recipient(command, house.recipients, house.desk.announcer.forgotten)
    await sweep(house)
    assert await leftovers(house, "ann.secret") == set()


async def test_addresses_are_found_without_a_search(house: Any) -> None:
    """Whatever is to be forgotten by an address is found by indexes, in the ledger and in lists."""
    known = {"user_ids": [uuid4()], "emails": ["x"], "chat_ids": [5], "nobody": uuid4()}
    for statement in (erasing._OF_ADDRESSES, erasing._LOCK_LISTS, erasing._STRIP_LISTS):
        needed = {name: known[name] for name in statement.compile().params}
        async with house.database.begin() as connection:
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            plan = (await connection.execute(text(f"EXPLAIN {statement}"), needed)).scalars().all()
        for table in ("messages", "campaign_recipients"):
            assert f"Seq Scan on {table}" not in "".join(plan)
