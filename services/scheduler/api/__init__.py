"""What scheduler answers: about promos, about schedules and what they would post, and about the log."""

from services.scheduler.api.books import audit
from services.scheduler.api.log import count_posts, list_promo_log
from services.scheduler.api.planning import plan_slots
from services.scheduler.api.promos import (
    create_promo,
    delete_promo,
    edit_promo,
    get_promo,
    list_promos,
    preview_promo,
    reorder_promos,
)
from services.scheduler.api.schedules import (
    create_schedule,
    delete_schedule,
    edit_schedule,
    get_schedule,
    list_schedules,
    pause_schedule,
    start_schedule,
    stop_schedule,
)
from services.scheduler.api.wording import draft_of, text_of

__all__ = [
    "audit",
    "count_posts",
    "create_promo",
    "create_schedule",
    "delete_promo",
    "delete_schedule",
    "draft_of",
    "edit_promo",
    "edit_schedule",
    "get_promo",
    "get_schedule",
    "list_promo_log",
    "list_promos",
    "list_schedules",
    "pause_schedule",
    "plan_slots",
    "preview_promo",
    "reorder_promos",
    "start_schedule",
    "stop_schedule",
    "text_of",
]
