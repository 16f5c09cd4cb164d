"""The ledger: a row per intended send, claimed before it is attempted and answered after it."""

from services.senders.store.endings import Endings
from services.senders.store.outcomes import Outcomes


class Ledger(Endings, Outcomes):
    """Every message and its deliveries."""
