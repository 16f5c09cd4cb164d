"""What senders answers about addresses that nothing is sent to."""

import re

from services.senders.api.places import page_of, place
from services.senders.api.recipients import Announce, is_address
from services.senders.store import Recipients
from shared.bus import Refusal
from shared.events import Channel
from shared.queries import (
    AddSuppression,
    BounceTold,
    ChatTold,
    LiftSuppression,
    ListSuppressions,
    SuppressionPage,
    SuppressionView,
    TellBounce,
    TellChat,
    Unsubscribed,
    UnsubscribeRecipient,
)

_CHAT = re.compile(r"[^:\s]{1,64}:-?[0-9]{1,19}", re.ASCII)


async def list_suppressions(query: ListSuppressions, recipients: Recipients) -> SuppressionPage:
    """List suppressions, newest first; refuses a cursor that is none."""
    rows = await recipients.list_suppressions(
        query.limit + 1,
        channel=query.channel,
        origin=query.origin,
        address=query.address,
        before=place(query.cursor),
    )
    found = [SuppressionView.model_validate(dict(row)) for row in rows]
    items, cursor = page_of(found, query.limit, lambda last: (last.created_at, last.id))
    return SuppressionPage(items=items, cursor=cursor)


async def add_suppression(command: AddSuppression, recipients: Recipients) -> SuppressionView:
    """Suppress an address by hand; refuses with 422 what is no address of its channel."""
    if command.channel is Channel.TELEGRAM and not _CHAT.fullmatch(command.address):
        raise Refusal(422, "Invalid address", "address is expected to be <bot>:<chat id>")
    if command.channel is Channel.EMAIL and not is_address(command.address):
        raise Refusal(422, "Invalid address", "address is expected to be local@domain")
    row = await recipients.add_suppression(command)
    if row is None:
        raise Refusal(409, "Lifted since", "this suppression was made, and has been lifted since")
    return SuppressionView.model_validate(dict(row))


async def lift_suppression(command: LiftSuppression, recipients: Recipients) -> SuppressionView:
    """Lift a suppression; refuses with 404."""
    row = await recipients.lift_suppression(command)
    if row is None:
        raise Refusal(404, "Unknown suppression", "there is no suppression of that id (any more)")
    return SuppressionView.model_validate(dict(row))


async def tell_bounce(command: TellBounce, recipients: Recipients) -> BounceTold:
    """Suppress an address that a letter came back from for good; refuses with 422 what is none."""
    if not is_address(command.email):
        raise Refusal(422, "Invalid address", "email is expected to be local@domain")
    if command.kind != "soft":
        await recipients.bounced(command)
    return BounceTold(suppressed=await recipients.suppressed(Channel.EMAIL, command.email) is not None)


async def tell_chat(command: TellChat, recipients: Recipients, announce: Announce) -> ChatTold:
    """Take what Telegram told of a chat; what was known has been published, or will be by the rounds."""
    changed = await recipients.tell_chat(command)
    if changed:
        await announce()
    return ChatTold(changed=changed)


async def unsubscribe(
    command: UnsubscribeRecipient, recipients: Recipients, announce: Announce
) -> Unsubscribed:
    """Take whom a delivery went to off all campaigns."""
    known = await recipients.unsubscribe(command)
    await announce()
    return Unsubscribed(known=known)
