"""The promo log: one row per slot and chat, the same in whatever order its events come."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from sqlalchemy import text

from services.scheduler import api, handlers
from services.scheduler.domain.schedule import DEFAULT_SCHEDULE
from services.scheduler.store import PromoLog, Schedules
from shared import ids
from shared.bus import Refusal
from shared.database import Database
from shared.events import (
    OUTCOMES,
    Channel,
    Event,
    Lane,
    MessageAmbiguous,
    MessageFailed,
    MessageSent,
    MessageSuppressed,
    Outcome,
    PromoDue,
    PromoPosted,
    PromoRef,
    SlotSkipped,
    outcome_id,
    promo_due_id,
)  # fmt: skip
from shared.queries import ListPromoLog, PromoLogEntry
from tests.scheduler.conftest import HOUR, START

HANDLERS: dict[type[Event], Callable[..., Any]] = {
    PromoDue: handlers.promo_due,
    SlotSkipped: handlers.slot_skipped,
    PromoPosted: handlers.promo_posted,
    MessageSent: handlers.message_sent,
    MessageFailed: handlers.message_failed,
    MessageSuppressed: handlers.message_suppressed,
    MessageAmbiguous: handlers.message_ambiguous,
}


def due(chat_id: int, slot: datetime = START, promo_id: str = "premium_signals") -> PromoDue:
    """Return the PromoDue of a slot for a chat."""
    return PromoDue(
        id=promo_due_id(DEFAULT_SCHEDULE, slot, chat_id), at=slot + timedelta(seconds=1),
        schedule_id=DEFAULT_SCHEDULE, slot=slot, promo_id=promo_id, bot="default", chat_id=chat_id,
        text="*x*", until=slot + HOUR,
    )  # fmt: skip


def outcome(
    kind: type[Outcome], of: PromoDue, attempt: int = 1, chat_id: int | None = None, **fields: Any
) -> Outcome:
    """Return an outcome of a post."""
    delivery_id = ids.delivery_of(of.id, "telegram")
    promo = PromoRef(schedule_id=of.schedule_id, slot=of.slot, promo_id=of.promo_id)
    return kind(
        id=outcome_id(delivery_id, attempt, kind.kind), at=of.at + timedelta(seconds=attempt),
        message_id=of.id, delivery_id=delivery_id, channel=Channel.TELEGRAM, lane=Lane.PROMO, attempt=attempt,
        type="promo", promo=promo, bot=of.bot, chat_id=chat_id or of.chat_id, **fields,
    )  # fmt: skip


async def tell(promo_log: PromoLog, *events: Event) -> None:
    """Hand events to their handlers, in this order."""
    for event in events:
        handled = [event] if isinstance(event, PromoDue | SlotSkipped) else event
        await HANDLERS[type(event)](handled, promo_log)


async def entries(promo_log: PromoLog, **conditions: Any) -> tuple[PromoLogEntry, ...]:
    """Return what the log answers."""
    return (await api.list_promo_log(ListPromoLog(**conditions), promo_log)).items


async def test_a_slot_s_totals_are_of_its_chats(promo_log: PromoLog) -> None:
    """Intended, posted, failed, suppressed, ambiguous and pending add up; each chat says how it ended."""
    dues = [due(chat_id) for chat_id in (1, 2, 3, 4, 5)]
    await tell(
        promo_log, *dues,
        outcome(PromoPosted, dues[0], provider_message_id="77"),
        outcome(MessageFailed, dues[1], reason="blocked"),
        outcome(MessageSuppressed, dues[2], reason="expired"),
        outcome(MessageAmbiguous, dues[3], reason="timeout"),
    )  # fmt: skip
    (entry,) = await entries(promo_log)
    assert (entry.promo_id, entry.slot, entry.created_at) == ("premium_signals", START, dues[0].at)
    assert (entry.intended, entry.posted, entry.failed) == (5, 1, 1)
    assert (entry.suppressed, entry.ambiguous, entry.pending) == (1, 1, 1)
    assert [(chat.chat_id, chat.state, chat.provider_message_id, chat.reason) for chat in entry.chats] == [
        (1, "sent", "77", None),
        (2, "failed", None, "blocked"),
        (3, "suppressed", None, "expired"),
        (4, "ambiguous", None, "timeout"),
        (5, "pending", None, None),
    ]


async def test_a_skipped_slot_is_in_the_log_with_its_reason(promo_log: PromoLog) -> None:
    """A slot without a post is shown, intended for nobody, and counted once."""
    skipped = SlotSkipped(
        id=ids.derived("x"), at=START, schedule_id=DEFAULT_SCHEDULE, slot=START, reason="missed"
    )
    name, labels = "marketing_slots_skipped_total", {"reason": "missed"}
    before = REGISTRY.get_sample_value(name, labels) or 0
    await tell(promo_log, skipped, skipped)
    assert REGISTRY.get_sample_value(name, labels) == before + 1
    (entry,) = await entries(promo_log)
    assert (entry.skipped, entry.promo_id, entry.intended, entry.chats) == ("missed", None, 0, ())


async def test_outcomes_of_other_messages_are_not_logged(promo_log: PromoLog) -> None:
    """Only promos are in the promo log."""
    other = outcome(MessageSent, due(1)).model_copy(update={"promo": None})
    await tell(promo_log, other)
    assert await entries(promo_log) == ()


async def test_a_post_keeps_the_chat_it_was_due_in(promo_log: PromoLog) -> None:
    """A group that was upgraded meanwhile has another id in the outcome; the row is the intended chat's."""
    wanted = due(-100)
    await tell(promo_log, outcome(PromoPosted, wanted, chat_id=-1001), wanted)
    (entry,) = await entries(promo_log)
    assert [(chat.chat_id, chat.state) for chat in entry.chats] == [(-100, "sent")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(st.tuples(st.sampled_from(OUTCOMES), st.integers(1, 3)), max_size=5, unique=True),
    drawn=st.data(),
)
async def test_order_and_repetition_do_not_matter(
    promo_log: PromoLog, database: Database, said: list[tuple[type[Outcome], int]], drawn: st.DataObject
) -> None:
    """Sent always wins, otherwise the highest (attempt, rank), whatever comes first or twice."""
    await database.execute(text("TRUNCATE promo_log_chats"))
    wanted = due(1)
    outcomes = [outcome(kind, wanted, attempt, reason=f"{kind.kind}{attempt}") for kind, attempt in said]
    await tell(promo_log, *drawn.draw(st.permutations([wanted, wanted, *outcomes, *outcomes])))
    (entry,) = await entries(promo_log)
    (chat,) = entry.chats
    best = max(
        outcomes, key=lambda each: (each.state == "sent", each.attempt, each.rank, each.id), default=None
    )
    assert chat.state == (best.state if best else "pending")
    assert chat.reason == (best.reason if best else None)
    assert (entry.intended, entry.created_at) == (1, wanted.at)


async def test_pages_show_every_slot_once_newest_first(promo_log: PromoLog) -> None:
    """Cursors walk through all slots, two schedules' in the same instant among them."""
    other = ids.derived("schedule", "other")
    dues = [due(1, START + n * HOUR) for n in range(4)]
    dues += [
        each.model_copy(update={"schedule_id": other, "id": ids.derived("other", each.id)}) for each in dues
    ]
    await tell(promo_log, *dues)
    seen, cursor = [], None
    while True:
        page = await api.list_promo_log(ListPromoLog(cursor=cursor, limit=3), promo_log)
        seen += [(entry.slot, entry.schedule_id) for entry in page.items]
        if page.cursor is None:
            break
        cursor = page.cursor
    assert seen == sorted(((each.slot, each.schedule_id) for each in dues), reverse=True)


async def test_the_log_is_asked_by_promo_and_time(promo_log: PromoLog) -> None:
    """`since` is within, `until` is not; a senseless cursor is refused."""
    await tell(promo_log, *(due(1, START + n * HOUR, f"promo_{n % 2}") for n in range(4)))
    found = await entries(promo_log, promo_id="promo_1", since=START + HOUR, until=START + 3 * HOUR)
    assert [entry.slot for entry in found] == [START + HOUR]
    with pytest.raises(Refusal) as refused:
        await entries(promo_log, cursor="nonsense")
    assert refused.value.status == 422


async def test_posts_are_counted_once_under_bounded_labels(settled: Schedules, promo_log: PromoLog) -> None:
    """Each chat's post counts once in marketing_posts_total; only promos of the catalogue become labels."""

    def counted(promo_id: str) -> float:
        return REGISTRY.get_sample_value("marketing_posts_total", {"promo_id": promo_id}) or 0

    before = counted("premium_signals"), counted("other")
    first, foreign = due(1), due(2, promo_id="foreign")
    await tell(
        promo_log, outcome(MessageAmbiguous, first), outcome(PromoPosted, first), outcome(PromoPosted, first),
        outcome(PromoPosted, first, 2), outcome(MessageFailed, first, 3), outcome(PromoPosted, foreign),
    )  # fmt: skip
    assert (counted("premium_signals"), counted("other")) == (before[0] + 1, before[1] + 1)
    assert REGISTRY.get_sample_value("marketing_posts_total", {"promo_id": "foreign"}) is None
