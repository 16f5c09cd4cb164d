"""The tables of gateway, and every question that is put to them."""

from services.gateway.store.commands import Entry, PublishedCommands
from services.gateway.store.idempotency import Idempotency, OtherRequest
from services.gateway.store.keys import ApiKey, Keys, TooOften, UnknownKey
from services.gateway.store.tables import metadata
from services.gateway.store.update_log import Logged, UpdateLog
from services.gateway.store.users import Seen, User, Users

__all__ = [
    "ApiKey",
    "Entry",
    "Idempotency",
    "Keys",
    "Logged",
    "OtherRequest",
    "PublishedCommands",
    "Seen",
    "TooOften",
    "UnknownKey",
    "UpdateLog",
    "User",
    "Users",
    "metadata",
]
