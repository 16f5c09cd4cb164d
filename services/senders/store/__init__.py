"""The tables of senders, and every question that is put to them."""

from services.senders.store.attempts import Bench
from services.senders.store.audiences import Audiences
from services.senders.store.campaigns import Campaigns
from services.senders.store.endings import Proof
from services.senders.store.expansions import Expansion
from services.senders.store.governor import Governor
from services.senders.store.ledger import Ledger
from services.senders.store.linking import AlreadyLinked
from services.senders.store.lists import NotADraft, TooMany
from services.senders.store.recipients import Recipients
from services.senders.store.suppressions import quiet_hours
from services.senders.store.tables import metadata

__all__ = [
    "AlreadyLinked",
    "Audiences",
    "Bench",
    "Campaigns",
    "Expansion",
    "Governor",
    "Ledger",
    "NotADraft",
    "Proof",
    "Recipients",
    "TooMany",
    "metadata",
    "quiet_hours",
]
