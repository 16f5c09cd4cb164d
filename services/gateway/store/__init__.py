"""The tables of gateway, and every question that is put to them."""

from services.gateway.store.arrivals import Arrival, Arrivals
from services.gateway.store.broadcasts import Broadcasts
from services.gateway.store.commands import Entry, PublishedCommands
from services.gateway.store.gone import PersonGone
from services.gateway.store.guides import Collection, GuideNumbers, Guides
from services.gateway.store.idempotency import Idempotency, OtherRequest
from services.gateway.store.keys import ApiKey, Keys, TooOften, UnknownKey
from services.gateway.store.seen import Seen
from services.gateway.store.tables import metadata
from services.gateway.store.turns import KeyHeld
from services.gateway.store.update_log import Logged, UpdateLog
from services.gateway.store.users import People, Preference, User, Users, Wish

__all__ = [
    "ApiKey",
    "Arrival",
    "Arrivals",
    "Broadcasts",
    "Collection",
    "Entry",
    "GuideNumbers",
    "Guides",
    "Idempotency",
    "KeyHeld",
    "Keys",
    "Logged",
    "OtherRequest",
    "People",
    "PersonGone",
    "Preference",
    "PublishedCommands",
    "Seen",
    "TooOften",
    "UnknownKey",
    "UpdateLog",
    "User",
    "Users",
    "Wish",
    "metadata",
]
