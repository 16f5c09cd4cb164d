"""What senders answers about recipients."""

from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit
from uuid import UUID

from services.senders.store import Recipients
from shared.bus import Refusal
from shared.queries import AddPushSubscription, GetRecipient, PutRecipient, RecipientView

Announce = Callable[[], Awaitable[None]]


async def get_recipient(query: GetRecipient, recipients: Recipients) -> RecipientView:
    """Show a recipient; refuses with 404."""
    return await _view(query.user_id, recipients)


async def put_recipient(command: PutRecipient, recipients: Recipients, announce: Announce) -> RecipientView:
    """Create or change a recipient; refuses addresses that cannot be."""
    if command.email is not None and not _is_address(command.email):
        raise Refusal(422, "Invalid address", "email is expected to be local@domain")
    await recipients.put(command)
    await announce()
    return await _view(command.user_id, recipients)


async def add_push_subscription(
    command: AddPushSubscription,
    recipients: Recipients,
    announce: Announce,
    http_hosts: Collection[str] = (),
) -> RecipientView:
    """Add a browser's subscription to a recipient; `http_hosts` may be reached without TLS."""
    if not _is_endpoint(command.subscription.endpoint, http_hosts):
        raise Refusal(422, "Invalid subscription", "endpoint is expected to be an https: URL")
    await recipients.add_subscription(command)
    await announce()
    return await _view(command.user_id, recipients)


async def _view(user_id: UUID, recipients: Recipients) -> RecipientView:
    view = await recipients.view(user_id)
    if view is None:
        raise Refusal(404, "Unknown user", "there is no recipient of that id")
    return view


def _is_endpoint(endpoint: str, http_hosts: Collection[str]) -> bool:
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname
    except ValueError:
        return False
    return host is not None and (parts.scheme == "https" or (parts.scheme == "http" and host in http_hosts))


def _is_address(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(local and "." in domain and not any(c.isspace() or ord(c) < 32 or c in "<>,;" for c in text))
