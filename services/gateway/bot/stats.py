"""`/stats`: what somebody has done here."""

import asyncio

from services.gateway.bot.newsletter import gets_news, known_to_senders
from services.gateway.bot.registry import Asked, Command, Hands
from services.gateway.domain.people import other_ids
from services.gateway.domain.roles import Role
from shared.events import ClickSource
from shared.markdown import Message
from shared.queries import ListClicks

MOST = 500


async def stats(asked: Asked, hands: Hands) -> Message:
    """Show saved and read guides, presses, and the subscription."""
    collection, known = await asyncio.gather(
        hands.guides.collection(asked.user.id), known_to_senders(asked, hands)
    )
    also = other_ids(known, asked.user.id) if known else ()
    clicks = await hands.bus.ask(ListClicks(user_id=asked.user.id, also=also, limit=MOST))
    links = sum(click.source is ClickSource.DEEP_LINK for click in clicks.items)
    more = "+" if clicks.cursor else ""
    message = Message().title(asked.say("stats.title")).blank()
    state = asked.say("settings.on" if gets_news(asked, known) else "settings.off")
    message.bullet(asked.say("stats.subscription", state=state))
    message.bullet(asked.say("stats.saved", n=len(collection.saved)))
    message.bullet(asked.say("stats.read", n=len(collection.read)))
    message.bullet(asked.say("stats.presses", n=f"{len(clicks.items) - links}{more}"))
    message.bullet(asked.say("stats.links", n=f"{links}{more}"))
    return message.row(asked.press("guides.saved", "guides", "saved"))


STATS = Command(
    name="stats",
    category="general",
    description="Your activity",
    role=Role.SUBSCRIBER,
    run=stats,
    help="Shows the guides that you have saved and read, your presses, and your subscription.",
    private=True,
)
