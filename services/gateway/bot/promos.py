"""`/promos`: the catalogue, and how each promo is doing."""

import asyncio
from collections.abc import Mapping

from services.gateway.bot.registry import Asked, Command, Hands, NotUnderstood
from services.gateway.domain.roles import Role
from shared import ids
from shared.markdown import Message
from shared.queries import CountClicks, EditPromo, ListPromos, PromoClicks, PromoIn, PromoView

MOST = 30
MOST_CHARACTERS = 3000

Numbers = Mapping[str, PromoClicks]


async def promos(asked: Asked, hands: Hands) -> Message:
    """List the catalogue, show one promo as it is posted, or enable or disable it."""
    match asked.words:
        case []:
            catalogue, numbers = await _known(hands)
            return _list(asked, catalogue, numbers)
        case ["show" | "enable" | "disable" as verb, name]:
            catalogue, numbers = await _known(hands)
            promo = next((each for each in catalogue if name in (each.id, _short(each))), None)
            if promo is None:
                return Message().text(asked.say("promos.gone")).row(asked.press("promos.list", "promos"))
            if verb != "show":
                change = PromoIn(enabled=verb == "enable")
                promo = await hands.bus.ask(EditPromo(cause=asked.cause, promo_id=promo.id, promo=change))
            return _one(asked, promo, numbers)
    raise NotUnderstood


async def _known(hands: Hands) -> tuple[tuple[PromoView, ...], Numbers]:
    catalogue, clicks = await asyncio.gather(hands.bus.ask(ListPromos()), hands.bus.ask(CountClicks()))
    return catalogue.items, {each.promo_id: each for each in clicks.items}


def _list(asked: Asked, items: tuple[PromoView, ...], numbers: Numbers) -> Message:
    message = Message().title(asked.say("promos.title")).blank()
    if not items:
        message.text(asked.say("promos.none"))
    for promo in items[:MOST]:
        message.text(_title(asked, promo)).bullet(_numbers(asked, numbers.get(promo.id)))
        message.button(asked.button(_title(asked, promo), "promos", f"show {_short(promo)}"))
    return message.row(asked.press("marketing.status_button", "marketing_status"))


def _one(asked: Asked, promo: PromoView, numbers: Numbers) -> Message:
    message = Message().title(_title(asked, promo)).blank()
    message.bullet(asked.say("promos.detail", cta=promo.cta_text))
    if promo.payload is not None:
        message.bullet(asked.say("promos.payload", payload=promo.payload))
    if promo.url is not None:
        message.bullet(asked.say("promos.url", url=promo.url))
    message.bullet(_numbers(asked, numbers.get(promo.id)))
    # A text near Telegram's limit leaves no room for what stands above it.
    if promo.text and len(promo.text) <= MOST_CHARACTERS:
        message.divider().source(promo.text)
    verb = "disable" if promo.enabled else "enable"
    message.row(asked.press(f"promos.{verb}", "promos", f"{verb} {_short(promo)}"))
    return message.row(asked.press("promos.list", "promos"))


def _short(promo: PromoView) -> str:
    """Name a promo in a button: its id may be too long for one."""
    return ids.to_short(ids.derived("promo", promo.id))


def _title(asked: Asked, promo: PromoView) -> str:
    return asked.say("promos.enabled" if promo.enabled else "promos.disabled", title=promo.title)


def _numbers(asked: Asked, numbers: PromoClicks | None) -> str:
    known = numbers or PromoClicks(
        promo_id="", clicks=0, unique_users=0, conversion_rate=0.0, deep_links=0, posts=0
    )
    return asked.say(
        "promos.numbers", clicks=known.clicks, people=known.unique_users, deep_links=known.deep_links,
        posts=known.posts, rate=f"{100 * known.conversion_rate:.1f}",
    )  # fmt: skip


PROMOS = Command(
    name="promos",
    category="marketing",
    description="Promos and their numbers",
    role=Role.ADMIN,
    run=promos,
    usage="[show|enable|disable <promo>]",
    help="Lists the catalogue with how often each promo was pressed; shows, enables or disables one.",
)
