"""Somebody who is forgotten is no target of promos any more, and in no line of the promo log."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import text

from services.scheduler import api, handlers
from services.scheduler.clock import Clock
from services.scheduler.store import Forgetting, PromoLog, Schedules, Slots
from shared.bus import Bus
from shared.database import Database
from shared.events import PromoDue, RecipientForgotten
from shared.ids import derived, user_of_telegram
from shared.queries import ListPromoLog
from shared.record.erasing import Somebody, erase
from shared.record.rebuilding import rebuild
from tests.scheduler.conftest import INTERVAL, START, TEXTS, WANTED, World
from tests.servers import AnyNats

PERSON, GROUP = 4711, -1001
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
    """Schedule, slots, log and stream lose the chat and keep the counts; a rebuild comes to the same."""
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
        cut = await bus.streams.cut()
        told = [
            PromoDue.model_validate_json(stored.payload).chat_id
            async for stored in bus.streams.read("PROMOS", "promos.due", up_to=cut["PROMOS"])
        ]
        world.now = START + INTERVAL
        await clock.tick()

    assert untouched == [GROUP, PERSON]
    assert (targets, decided) == ([GROUP], [GROUP])
    assert (entry.intended, [chat.chat_id for chat in entry.chats]) == (2, [GROUP])
    assert (before_erasing.same, after_erasing.same) == (True, True)
    assert erased["PROMOS"] == 1
    assert sorted(told) == [GROUP, 0]
    assert [due.chat_id for due in world.of(PromoDue)] == [GROUP, PERSON, GROUP]
