"""What senders answers about recipients."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.senders.api.places import page_of, place
from services.senders.store import AlreadyLinked, Recipients
from shared.bus import Refusal
from shared.push import PushServices, public_key_of, secret_of
from shared.queries import (
    AddPushSubscription,
    DeletePushSubscription,
    ForgetRecipient,
    Forgotten,
    GetRecipient,
    Introduced,
    IntroduceRecipients,
    Introductions,
    LinkUser,
    ListPushSubscriptions,
    ListRecipients,
    PushSubscriptionList,
    PutRecipient,
    RecipientPage,
    RecipientView,
    UnlinkUser,
)

_INTRODUCED = {
    "taken": (200, None),
    "wrong": (422, "Cannot be kept"),
    "busy": (503, "Being changed by others"),
}
Announce = Callable[[], Awaitable[None]]


async def get_recipient(query: GetRecipient, recipients: Recipients) -> RecipientView:
    """Show a recipient; refuses with 404."""
    return await _view(query.user_id, recipients)


async def list_recipients(query: ListRecipients, recipients: Recipients) -> RecipientPage:
    """List recipients, newest first; refuses a cursor that is none."""
    found = await recipients.list_recipients(query, query.limit + 1, place(query.cursor))
    items, cursor = page_of(found, query.limit, lambda last: (last.created_at, last.user_id))
    return RecipientPage(items=items, cursor=cursor)


async def put_recipient(command: PutRecipient, recipients: Recipients, announce: Announce) -> RecipientView:
    """Create or change a recipient; refuses addresses, time zones and orders that cannot be.

    Whoever was forgotten after the command's cause is nobody, unless they have come back since.
    """
    if command.email is not None and not is_address(command.email):
        raise Refusal(422, "Invalid address", "email is expected to be local@domain")
    quiet_zone = command.quiet_hours.zone if command.quiet_hours else None
    if any(zone is not None and not _is_zone(zone) for zone in (command.time_zone, quiet_zone)):
        raise Refusal(422, "Invalid time zone", "expected a time zone, such as Europe/Madrid")
    if command.channel_order and len({*command.channel_order}) < len(command.channel_order):
        raise Refusal(422, "Invalid order", "channel_order names a channel twice")
    if not await recipients.put(command):
        nobody = RecipientView(user_id=command.user_id, version=0)
        return await recipients.view(command.user_id) or nobody
    await announce()
    return await _view(command.user_id, recipients)


async def introduce_recipients(
    command: IntroduceRecipients, recipients: Recipients, announce: Announce
) -> Introductions:
    """Create or change many recipients; refuses each by itself: what cannot be kept, or for now."""
    taken = await recipients.introduce(command.people)
    await announce()
    return Introductions(
        items=tuple(
            Introduced(user_id=each.user_id, status=_INTRODUCED[what][0], title=_INTRODUCED[what][1])
            for each, what in zip(command.people, taken, strict=True)
        )
    )


async def link_user(command: LinkUser, recipients: Recipients, announce: Announce) -> RecipientView:
    """Make one recipient of a user and a Telegram user; refuses with 409 where one has another already."""
    try:
        await recipients.link(command)
    except AlreadyLinked as problem:
        raise Refusal(409, "Cannot be linked", str(problem)) from None
    await announce()
    return await _view(command.user_id, recipients)


async def unlink_user(command: UnlinkUser, recipients: Recipients, announce: Announce) -> RecipientView:
    """Part a user from his Telegram user; refuses with 404 where there is none."""
    if not await recipients.unlink(command):
        raise Refusal(404, "Not linked", "this user is linked with no Telegram user")
    await announce()
    return await _view(command.user_id, recipients)


async def forget_recipient(command: ForgetRecipient, recipients: Recipients, announce: Announce) -> Forgotten:
    """Forget somebody, also one who was only written to; the rest is told and swept by the rounds."""
    user_ids, messages = await recipients.forget(command, nobody=uuid4())
    await announce()
    return Forgotten(user_ids=user_ids, messages=messages)


async def add_push_subscription(
    command: AddPushSubscription,
    recipients: Recipients,
    announce: Announce,
    services: PushServices,
) -> RecipientView:
    """Add a browser's subscription to a recipient; refuses what is of none of the `services`, and no keys."""
    for name, read in (("p256dh", public_key_of), ("auth", secret_of)):
        try:
            read(getattr(command.subscription, name))
        except ValueError as problem:
            raise Refusal(422, "Invalid subscription", f"{name}: {problem}") from None
    if not services.know(command.subscription.endpoint):
        raise Refusal(
            422, "Invalid subscription", "endpoint is not of a push service known here (PUSH_SERVICES)"
        )
    if not await recipients.add_subscription(command):
        raise Refusal(410, "Forgotten", "the recipient was forgotten since")
    await announce()
    return await _view(command.user_id, recipients)


async def list_push_subscriptions(
    query: ListPushSubscriptions, recipients: Recipients
) -> PushSubscriptionList:
    """List a recipient's browsers; refuses with 404."""
    await _view(query.user_id, recipients)
    return PushSubscriptionList(items=tuple(await recipients.list_subscriptions(query.user_id)))


async def delete_push_subscription(
    command: DeletePushSubscription, recipients: Recipients, announce: Announce
) -> RecipientView:
    """Take a browser from a recipient; refuses with 404."""
    if not await recipients.remove_subscription(command):
        raise Refusal(404, "Unknown subscription", "this recipient has no such push subscription")
    await announce()
    return await _view(command.user_id, recipients)


async def _view(user_id: UUID, recipients: Recipients) -> RecipientView:
    view = await recipients.view(user_id)
    if view is None:
        raise Refusal(404, "Unknown user", "there is no recipient of that id")
    return view


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def is_address(text: str) -> bool:
    """Say whether a text may be an e-mail address."""
    local, _, domain = text.rpartition("@")
    return bool(local and "." in domain and not any(c.isspace() or ord(c) < 32 or c in "<>,;" for c in text))
