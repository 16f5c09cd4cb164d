"""What senders answers."""

from services.senders.api.auditing import audit
from services.senders.api.campaigns import create_campaign, get_campaign
from services.senders.api.chats import resolve_chat
from services.senders.api.directory import Telling, directory
from services.senders.api.messages import cancel_message, get_message, list_messages
from services.senders.api.recipients import (
    add_push_subscription,
    delete_push_subscription,
    forget_recipient,
    get_recipient,
    link_user,
    list_push_subscriptions,
    list_recipients,
    put_recipient,
    unlink_user,
)
from services.senders.api.suppressions import (
    add_suppression,
    lift_suppression,
    list_suppressions,
    tell_bounce,
    tell_chat,
    unsubscribe,
)
from services.senders.api.templates import list_templates

__all__ = [
    "Telling",
    "add_push_subscription",
    "add_suppression",
    "audit",
    "cancel_message",
    "create_campaign",
    "delete_push_subscription",
    "directory",
    "forget_recipient",
    "get_campaign",
    "get_message",
    "get_recipient",
    "lift_suppression",
    "link_user",
    "list_messages",
    "list_push_subscriptions",
    "list_recipients",
    "list_suppressions",
    "list_templates",
    "put_recipient",
    "resolve_chat",
    "tell_bounce",
    "tell_chat",
    "unlink_user",
    "unsubscribe",
]
