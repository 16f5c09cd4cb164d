"""The tables of clicks, and every question that is put to them."""

from services.clicks.store.clicks import Clicks, Stored
from services.clicks.store.tables import metadata

__all__ = ["Clicks", "Stored", "metadata"]
