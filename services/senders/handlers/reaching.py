"""Where a delivery goes: the recipient's address on its channel, or why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

from services.senders.domain.limits import Limit, Limits
from services.senders.domain.quiet import quiet_until
from services.senders.domain.requests import Delivery, Recipient, Request
from services.senders.domain.sending import EmailTarget, PushTarget, Target, TelegramTarget
from services.senders.store import Recipients
from shared.events import Channel, Lane
from shared.ids import derived


@dataclass(frozen=True)
class Reached:
    """The addresses of a delivery (several only for push), with the bot and chat of a Telegram one.

    `user_id` is whose browsers they are.
    """

    channel: Channel
    targets: Sequence[Target]
    language: str | None = None
    bot: str | None = None
    chat_id: int | None = None
    user_id: UUID | None = None

    @property
    def provider(self) -> str:
        """Who takes it: what counts as down together."""
        return f"{self.channel}:{self.bot}" if self.bot else str(self.channel)

    def place_of(self, request: Request) -> UUID | None:
        """Return what stands for this address in the campaign whose list the request is of."""
        if request.campaign_id is None or request.campaign_position is None:
            return None
        mailboxes = [each.address.casefold() for each in self.targets if isinstance(each, EmailTarget)]
        where = self.user_id if self.channel is Channel.PUSH else self.chat_id or mailboxes[0]
        return derived("reached", request.campaign_id, self.channel, self.bot, where)

    def limits(self, limits: Limits) -> list[Limit]:
        """Return the limits that it keeps, the one shared with others first."""
        if self.bot and self.chat_id is not None:
            return [limits.bot(self.bot), limits.chat(self.bot, self.chat_id)]
        domains = [limits.domain(each.address) for each in self.targets if isinstance(each, EmailTarget)]
        return [limits.email(), *domains] if self.channel is Channel.EMAIL else []

    def pauses(self, limits: Limits) -> list[str]:
        """Return the keys of which a pause stops it: those of its limits, or its only push service."""
        services = {push_service(target) for target in self.targets if isinstance(target, PushTarget)}
        return [limit.key for limit in self.limits(limits)] or (list(services) if len(services) == 1 else [])


def push_service(target: PushTarget) -> str:
    """Return the key of the push service behind a subscription."""
    return f"push:{urlsplit(target.subscription.endpoint).netloc}"


@dataclass(frozen=True)
class Unreachable:
    """Why nothing is to be sent; `chain_goes_on` when another channel may do."""

    reason: str
    chain_goes_on: bool = True


@dataclass(frozen=True)
class Quiet:
    """Until when the recipient is not to be disturbed."""

    until: datetime


async def reach(
    delivery: Delivery, recipients: Recipients, default_bot: str | None, now: datetime
) -> Reached | Unreachable | Quiet:
    """Find where a delivery goes, or why it goes nowhere, or not now."""
    request = delivery.request
    found = await recipients.find(request.user_id) if request.user_id else None
    recipient = found or Recipient()
    if request.lane is Lane.CAMPAIGN:
        concerned = [recipient, *await _at_home(delivery, recipients)]
        if any(each.opted_out for each in concerned):
            return Unreachable("opted_out", chain_goes_on=False)
        if ends := [end for each in concerned if (end := _quiet_end(each, now))]:
            return Quiet(max(ends))
    if delivery.channel in recipient.muted and not _is_direct(delivery):
        return Unreachable("muted")
    match delivery.channel:
        case Channel.TELEGRAM:
            return await _chat(delivery, recipient, recipients, default_bot)
        case Channel.EMAIL:
            return await _mailbox(delivery, recipient, recipients)
        case Channel.PUSH:
            return await _browsers(recipient, recipients)


async def _at_home(delivery: Delivery, recipients: Recipients) -> Sequence[Recipient]:
    """Return whose the addresses are that a campaign names itself: their wishes hold there too."""
    address = delivery.request.address
    return await recipients.living_at(address.email, address.telegram_chat_id) if address else ()


def _quiet_end(recipient: Recipient, now: datetime) -> datetime | None:
    """Return until when somebody is not to be disturbed, or None."""
    hours = recipient.quiet_hours
    return quiet_until(hours, now, recipient.time_zone) if hours else None


def _is_direct(delivery: Delivery) -> bool:
    """Say whether a request names the address on this channel itself, whatever the directory says."""
    address = delivery.request.address
    direct = {
        Channel.TELEGRAM: address and address.telegram_chat_id,
        Channel.EMAIL: address and address.email,
    }
    return direct.get(delivery.channel) is not None


async def _chat(
    delivery: Delivery, recipient: Recipient, recipients: Recipients, default_bot: str | None
) -> Reached | Unreachable:
    request = delivery.request
    direct = request.address.telegram_chat_id if request.address else None
    chat_id = recipient.telegram_chat_id if direct is None else direct
    bot = request.bot or recipient.bot or default_bot
    if chat_id is None or bot is None:
        return Unreachable("no_address")
    is_campaign = request.lane is Lane.CAMPAIGN
    chat_id, reason = await recipients.chat_now(bot, chat_id, is_campaign=is_campaign)
    if reason:
        return _suppressed(reason, "blocked")
    return Reached(Channel.TELEGRAM, [TelegramTarget(chat_id)], recipient.language, bot, chat_id)


async def _mailbox(delivery: Delivery, recipient: Recipient, recipients: Recipients) -> Reached | Unreachable:
    direct = delivery.request.address.email if delivery.request.address else None
    address = direct or recipient.email
    if address is None:
        return Unreachable("no_address")
    is_campaign = delivery.request.lane is Lane.CAMPAIGN
    if reason := await recipients.suppressed(Channel.EMAIL, address, is_campaign=is_campaign):
        return _suppressed(reason, "bounced")
    return Reached(Channel.EMAIL, [EmailTarget(address)], recipient.language)


def _suppressed(reason: str, word: str) -> Unreachable:
    """Return why a suppressed address is left alone, in the ledger's words."""
    return Unreachable("opted_out", chain_goes_on=False) if reason == "opted_out" else Unreachable(word)


async def _browsers(recipient: Recipient, recipients: Recipients) -> Reached | Unreachable:
    if recipient.user_id is None:
        return Unreachable("no_address")
    subscriptions = await recipients.subscriptions(recipient.user_id)
    if not subscriptions:
        return Unreachable("no_address")
    targets = [PushTarget(each) for each in subscriptions]
    return Reached(Channel.PUSH, targets, recipient.language, user_id=recipient.user_id)
