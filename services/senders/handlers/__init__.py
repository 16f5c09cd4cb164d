"""What senders does: one function per event, the desk that sends, and the rounds."""

from services.senders.handlers.announcing import Announcer, Publish, outcome_of
from services.senders.handlers.desk import Desk
from services.senders.handlers.events import (
    button_clicked,
    dead_letter,
    message_requested,
    promo_cancelled,
    promo_due,
)
from services.senders.handlers.retelling import KEEPING
from services.senders.handlers.rounds import Rounds

__all__ = [
    "KEEPING",
    "Announcer",
    "Desk",
    "Publish",
    "Rounds",
    "button_clicked",
    "dead_letter",
    "message_requested",
    "outcome_of",
    "promo_cancelled",
    "promo_due",
]
