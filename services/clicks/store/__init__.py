"""The tables of clicks, and every question that is put to them."""

from services.clicks.store.clicks import Clicks, Place, Stored
from services.clicks.store.tables import metadata

__all__ = ["Clicks", "Place", "Stored", "metadata"]
