"""The tables of senders, and every question that is put to them."""

from services.senders.store.attempts import Bench
from services.senders.store.campaigns import Campaigns, Expansion
from services.senders.store.governor import Governor
from services.senders.store.ledger import Ledger
from services.senders.store.recipients import Recipients
from services.senders.store.tables import metadata

__all__ = ["Bench", "Campaigns", "Expansion", "Governor", "Ledger", "Recipients", "metadata"]
