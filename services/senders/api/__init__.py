"""What senders answers."""

from services.senders.api.campaigns import create_campaign, get_campaign
from services.senders.api.messages import cancel_message, get_message, list_messages
from services.senders.api.recipients import add_push_subscription, get_recipient, put_recipient
from services.senders.api.templates import list_templates

__all__ = [
    "add_push_subscription",
    "cancel_message",
    "create_campaign",
    "get_campaign",
    "get_message",
    "get_recipient",
    "list_messages",
    "list_templates",
    "put_recipient",
]
