"""What gateway does with each event, and what it owes others because of it."""

from services.gateway.handlers.announcing import Announcer
from services.gateway.handlers.broadcasting import Broadcaster, campaign_changed
from services.gateway.handlers.chats import tell_of_chat
from services.gateway.handlers.events import (
    asks_for_something,
    button_clicked,
    recipient_forgotten,
    update_received,
    updates_written_down,
)
from services.gateway.handlers.projecting import KEEPING, projecting
from services.gateway.handlers.trimming import Trimmer

__all__ = [
    "KEEPING",
    "Announcer",
    "Broadcaster",
    "Trimmer",
    "asks_for_something",
    "button_clicked",
    "campaign_changed",
    "projecting",
    "recipient_forgotten",
    "tell_of_chat",
    "update_received",
    "updates_written_down",
]
