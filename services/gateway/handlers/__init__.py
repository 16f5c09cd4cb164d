"""What gateway does with each event, and what it owes others because of it."""

from services.gateway.handlers.announcing import Announcer
from services.gateway.handlers.events import button_clicked, update_received

__all__ = ["Announcer", "button_clicked", "update_received"]
