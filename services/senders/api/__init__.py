"""What senders answers."""

from services.senders.api.auditing import audit
from services.senders.api.campaigns import (
    add_campaign_recipients,
    cancel_campaign,
    create_campaign,
    get_campaign,
    list_campaigns,
    pause_campaign,
    resume_campaign,
    start_campaign,
)
from services.senders.api.chats import resolve_chat
from services.senders.api.directory import Telling, directory
from services.senders.api.estimates import Estimates, estimate_campaign
from services.senders.api.messages import cancel_message, get_message, list_messages
from services.senders.api.recipients import (
    add_push_subscription,
    delete_push_subscription,
    forget_recipient,
    get_recipient,
    introduce_recipients,
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
    "Estimates",
    "Telling",
    "add_campaign_recipients",
    "add_push_subscription",
    "add_suppression",
    "audit",
    "cancel_campaign",
    "cancel_message",
    "create_campaign",
    "delete_push_subscription",
    "directory",
    "estimate_campaign",
    "forget_recipient",
    "get_campaign",
    "get_message",
    "get_recipient",
    "introduce_recipients",
    "lift_suppression",
    "link_user",
    "list_campaigns",
    "list_messages",
    "list_push_subscriptions",
    "list_recipients",
    "list_suppressions",
    "list_templates",
    "pause_campaign",
    "put_recipient",
    "resolve_chat",
    "resume_campaign",
    "start_campaign",
    "tell_bounce",
    "tell_chat",
    "unlink_user",
    "unsubscribe",
]
