"""The tables of scheduler, and every question that is put to them."""

from services.scheduler.store.promo_log import PromoLog
from services.scheduler.store.promos import Catalogue
from services.scheduler.store.schedules import Schedules, UnknownSchedule
from services.scheduler.store.slots import Slots
from services.scheduler.store.tables import metadata

__all__ = ["Catalogue", "PromoLog", "Schedules", "Slots", "UnknownSchedule", "metadata"]
