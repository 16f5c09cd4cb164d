"""Somebody who is forgotten is no target of promos any more, and in no line of the promo log."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import text

from services.scheduler import api, handlers
from services.scheduler.clock import Clock
from services.scheduler.store import Forgetting, PromoLog, Schedules, Slots
from shared.bus import Bus
from shared.database import Database
from shared.events import (
    Channel,
    Lane,
    PromoDue,
    PromoPosted,
    PromoRef,
    RecipientForgotten,
    promo_due_id,
)
from shared.ids import derived, user_of_telegram
from shared.queries import ListPromoLog
from shared.record.erasing import Somebody, erase
from shared.record.rebuilding import rebuild
from tests.scheduler.conftest import INTERVAL, START, TEXTS, WANTED, World
from tests.servers import AnyNats

PERSON, GROUP = 4711, -1001
SCHEDULE = derived("schedule", "default")
FreshDatabase = Callable[[str], Awaitable[str]]


def forgotten(telegram_id: int) -> RecipientForgotten:
    """Tell that somebody is to be forgotten."""
    user_id = user_of_telegram(telegram_id)
    return RecipientForgotten(
        id=derived("recipient.forgotten", user_id, 1), at=START + timedelta(minutes=5), user_id=user_id,
        version=1,
    )  # fmt: skip


async def test_a_private_chat_is_forgotten(
    prepared_nats: AnyNats, fresh_database: FreshDatabase, world: World
) -> None:
    """Schedule, slots, log and stream, trimmed or not, lose the chat and keep the counts, rebuilt too."""
    url = await fresh_database("scheduler")
    async with (
        Bus.open(prepared_nats.url, service="tests") as bus,
        Database.open(url) as database,
    ):
        log, forgetting = PromoLog(database), Forgetting(database)
        await Schedules(database).settle_default(replace(WANTED, chat_ids=(GROUP, PERSON)), TEXTS, START)
        clock = Clock(Slots(database), world.publish, lambda: world.now)
        await clock.tick()
        for due in world.of(PromoDue):
            await bus.publish(due)
        await handlers.promo_due(world.of(PromoDue), log)
        await database.execute(text("INSERT INTO trimmed.promo_log_chats SELECT * FROM promo_log_chats"))

        await handlers.recipient_forgotten(forgotten(PERSON + 1), forgetting)
        untouched = await database.value(text("SELECT chat_ids FROM schedules"))
        await handlers.recipient_forgotten(forgotten(PERSON), forgetting)
        await bus.publish(forgotten(PERSON))
        before_erasing = await rebuild(url, bus.streams, handlers.projecting)
        erased = await erase(bus, Somebody(frozenset({user_of_telegram(PERSON)})))
        after_erasing = await rebuild(url, bus.streams, handlers.projecting)
        [entry] = (await api.list_promo_log(ListPromoLog(), log)).items
        targets = await database.value(text("SELECT chat_ids FROM schedules"))
        decided = await database.value(text("SELECT chat_ids FROM slots"))
        trimmed = await database.rows(text("SELECT chat_id FROM trimmed.promo_log_chats"))
        cut = await bus.streams.cut()
        told = [
            PromoDue.model_validate_json(stored.payload).chat_id
            async for stored in bus.streams.read("PROMOS", "promos.due", up_to=cut["PROMOS"])
        ]
        world.now = START + INTERVAL
        await clock.tick()

    assert untouched == [GROUP, PERSON]
    assert (targets, decided) == ([GROUP], [GROUP])
    assert sorted(row["chat_id"] or 0 for row in trimmed) == [GROUP, 0]
    assert (entry.intended, [chat.chat_id for chat in entry.chats]) == (2, [GROUP])
    assert (before_erasing.same, after_erasing.same) == (True, True)
    assert erased["PROMOS"] == 1
    assert sorted(told) == [GROUP, 0]
    assert [due.chat_id for due in world.of(PromoDue)] == [GROUP, PERSON, GROUP]


async def test_whoever_was_chosen_after_they_were_forgotten_stays(
    fresh_database: FreshDatabase, world: World
) -> None:
    """That somebody was forgotten, told late or again, takes them from no schedule and slot of after it."""
    told = forgotten(PERSON)
    after = told.at + timedelta(minutes=1)
    async with Database.open(await fresh_database("scheduler")) as database:
        schedules = Schedules(database)
        await schedules.create("before", replace(WANTED, chat_ids=(GROUP, PERSON)), uuid4(), START)
        await schedules.create("after", replace(WANTED, chat_ids=(GROUP, PERSON)), uuid4(), after)
        await database.execute(
            text("""
            INSERT INTO slots (schedule_id, slot, decided_at, bot, chat_ids, skipped)
            SELECT id, edited_at, edited_at, bot, chat_ids, 'missed' FROM schedules""")
        )

        await handlers.recipient_forgotten(told, Forgetting(database))

        targets = await database.rows(text("SELECT chat_ids FROM schedules ORDER BY edited_at"))
        decided = await database.rows(text("SELECT chat_ids FROM slots ORDER BY decided_at"))

    for rows in (targets, decided):
        assert [row["chat_ids"] for row in rows] == [[GROUP], [GROUP, PERSON]]


async def test_what_comes_late_of_a_private_chat_is_in_nobodys(fresh_database: FreshDatabase) -> None:
    """A PromoDue or an outcome of before that comes after the forgetting keeps no chat; of after, it does."""
    told = forgotten(PERSON)
    early, late = (told.at + timedelta(minutes=minutes) for minutes in (-1, 1))
    dues = [
        PromoDue(
            id=promo_due_id(SCHEDULE, at, chat_id), at=at, schedule_id=SCHEDULE, slot=at, promo_id="vip",
            bot="default", chat_id=chat_id, text="x", until=at + timedelta(hours=1),
        )
        for at, chat_id in ((early, PERSON), (late, PERSON), (early, GROUP))
    ]  # fmt: skip
    posted = [
        PromoPosted(
            id=uuid4(), at=late, message_id=due.id, delivery_id=uuid4(), channel=Channel.TELEGRAM,
            lane=Lane.PROMO, attempt=1, type="promo", chat_id=due.chat_id, provider_message_id="7",
            promo=PromoRef(schedule_id=SCHEDULE, slot=due.slot, promo_id="vip"),
        )
        for due in dues
    ]  # fmt: skip
    rows = text("SELECT chat_id, provider_message_id, state FROM promo_log_chats ORDER BY slot, chat_id")
    async with Database.open(await fresh_database("scheduler")) as database:
        log = PromoLog(database)
        for outcomes_first in (True, False):
            await database.execute(text("TRUNCATE promo_log_chats, forgotten_users"))
            await handlers.recipient_forgotten(told, Forgetting(database))
            if not outcomes_first:
                await handlers.promo_due(dues, log)
            for outcome in posted:
                await handlers.promo_posted(outcome, log)
            await handlers.promo_due(dues, log)
            assert [tuple(row.values()) for row in await database.rows(rows)] == [
                (GROUP, "7", "sent"), (None, None, "sent"), (PERSON, "7", "sent"),
            ]  # fmt: skip
