"""The tables of scheduler, and every question that is put to them."""

from services.scheduler.store.changes import NotActive
from services.scheduler.store.forgetting import Forgetting
from services.scheduler.store.promo_log import PromoLog
from services.scheduler.store.promos import Catalogue, PromoInUse, PromoTaken, Saved, UnknownPromo
from services.scheduler.store.schedules import ScheduleExists, Schedules, UnknownPromos, UnknownSchedule
from services.scheduler.store.slots import Slots
from services.scheduler.store.tables import metadata

__all__ = [
    "Catalogue",
    "Forgetting",
    "NotActive",
    "PromoInUse",
    "PromoLog",
    "PromoTaken",
    "Saved",
    "ScheduleExists",
    "Schedules",
    "Slots",
    "UnknownPromo",
    "UnknownPromos",
    "UnknownSchedule",
    "metadata",
]
