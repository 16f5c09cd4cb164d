"""What scheduler answers about the future: a dry run."""

from datetime import datetime
from itertools import islice

from services.scheduler.domain.decision import Slot
from services.scheduler.domain.forecast import forecast
from services.scheduler.store import Schedules, UnknownSchedule
from shared import markdown
from shared.bus import Refusal
from shared.queries import Plan, PlannedPost, PlanSlots


async def plan_slots(query: PlanSlots, schedules: Schedules, now: datetime) -> Plan:
    """Say what the next slots would post; nothing is decided by it."""
    try:
        names, going, promos = await schedules.forecast(query.schedule_id, now)
    except UnknownSchedule:
        raise Refusal(404, "Unknown schedule", f"there is no schedule {query.schedule_id}") from None
    found = list(islice(forecast(going, promos, now, query.until), query.limit + 1))
    stopped = query.schedule_id is not None and not (await schedules.view(query.schedule_id)).active
    shown: dict[str, str] = {}
    return Plan(
        items=tuple(_planned(slot, names[slot.schedule_id], shown) for slot in found[: query.limit]),
        assumed_start=now if stopped else None,
        complete=len(found) <= query.limit,
    )


def _planned(slot: Slot, name: str, shown: dict[str, str]) -> PlannedPost:
    if slot.text is not None and slot.text not in shown:
        shown[slot.text] = markdown.parse(slot.text).text
    return PlannedPost(
        schedule_id=slot.schedule_id, schedule=name, slot=slot.slot, until=slot.until,
        chat_ids=slot.chat_ids, promo_id=slot.promo_id, text=slot.text,
        plain=shown.get(slot.text or ""), button=slot.button, skipped=slot.skipped,
    )  # fmt: skip
