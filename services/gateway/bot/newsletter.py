"""`/newsletter` and `/stop`: opting in and out of news and offers, and the role that goes with it."""

from services.gateway.bot.registry import Asked, Command, Hands, NotUnderstood
from services.gateway.domain.roles import Role
from shared.bus import Refusal
from shared.markdown import Message
from shared.queries import GetRecipient, PutRecipient, RecipientView


async def newsletter(asked: Asked, hands: Hands) -> Message:
    """Subscribe, unsubscribe, or tell which of the two somebody is."""
    match asked.rest.lower():
        case "":
            return await _state(asked, hands)
        case "on" | "off" as word:
            is_on = word == "on"
            if not await set_subscribed(asked, hands, wanted=is_on):
                return await _state(await asked.again(hands), hands)
            return _with_button(Message().text(asked.say(f"newsletter.{word}")), asked, is_on=is_on)
    raise NotUnderstood


async def stop(asked: Asked, hands: Hands) -> Message:
    """Unsubscribe somebody who wants no more of it."""
    if not await set_subscribed(asked, hands, wanted=False):
        return await _state(await asked.again(hands), hands)
    message = Message().title(asked.say("newsletter.stopped"))
    message.blank().text(asked.say("newsletter.stopped_more"))
    return _with_button(message, asked, is_on=False)


async def known_to_senders(asked: Asked, hands: Hands) -> RecipientView | None:
    """Return what senders knows of whoever asked, or None while it has not been told of them."""
    try:
        return await hands.bus.ask(GetRecipient(user_id=asked.user.id))
    except Refusal as refusal:
        if refusal.status != 404:
            raise
        return None


def gets_news(asked: Asked, known: RecipientView | None) -> bool:
    """Say whether somebody gets news and offers: a subscriber or above, who has not opted out."""
    return asked.user.role >= Role.SUBSCRIBER and not (known and known.opted_out)


async def set_subscribed(asked: Asked, hands: Hands, *, wanted: bool) -> bool:
    """Opt somebody in or out; whoever has no higher role becomes a subscriber, or one no longer.

    False where they have wished otherwise since: then nothing is changed.
    """
    if not await hands.users.is_newest(asked.user, "news", asked.wish):
        return False
    command = PutRecipient(cause=asked.cause, user_id=asked.user.id, opted_out=not wanted, at=asked.update.at)
    await hands.bus.ask(command)
    role, only_from = (Role.SUBSCRIBER, Role.PUBLIC) if wanted else (Role.PUBLIC, Role.SUBSCRIBER)
    await hands.users.set_role(asked.user, role, asked.wish, only_from=only_from)
    return True


async def _state(asked: Asked, hands: Hands) -> Message:
    is_on = gets_news(asked, await known_to_senders(asked, hands))
    message = Message().title(asked.say("newsletter.title"))
    message.blank().text(asked.say("newsletter.is_on" if is_on else "newsletter.is_off"))
    return _with_button(message, asked, is_on=is_on)


def _with_button(message: Message, asked: Asked, *, is_on: bool) -> Message:
    if is_on:
        return message.button(asked.press("newsletter.unsubscribe", "newsletter", "off"))
    return message.button(asked.press("newsletter.subscribe", "newsletter", "on"))


NEWSLETTER = Command(
    name="newsletter",
    category="general",
    description="News and offers",
    role=Role.PUBLIC,
    run=newsletter,
    usage="[on|off]",
    help="Subscribes you to news and offers, or unsubscribes you.",
    private=True,
)

STOP = Command(
    name="stop",
    category="general",
    description="No more news and offers",
    role=Role.PUBLIC,
    run=stop,
    help="Unsubscribes you from news and offers.",
    private=True,
)
