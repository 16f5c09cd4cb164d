"""`/promos`: the catalogue, and how each promo is doing."""

import asyncio

from services.gateway.bot.registry import Asked, Command, Hands, NotUnderstood
from services.gateway.domain.roles import Role
from shared.markdown import Message
from shared.queries import CountClicks, ListPromos, PromoClicks, PromoView

MOST_BUTTONS = 30


async def promos(asked: Asked, hands: Hands) -> Message:
    """List the catalogue, or show one promo of it."""
    catalogue, clicks = await asyncio.gather(hands.bus.ask(ListPromos()), hands.bus.ask(CountClicks()))
    numbers = {each.promo_id: each for each in clicks.items}
    match asked.words:
        case []:
            return _list(asked, catalogue.items, numbers)
        case ["show", promo_id]:
            found = next((each for each in catalogue.items if each.id == promo_id), None)
            return _one(asked, found, numbers)
    raise NotUnderstood


def _list(asked: Asked, items: tuple[PromoView, ...], numbers: dict[str, PromoClicks]) -> Message:
    message = Message().title(asked.say("promos.title")).blank()
    if not items:
        message.text(asked.say("promos.none"))
    for promo in items:
        message.text(_title(asked, promo)).bullet(_numbers(asked, numbers.get(promo.id)))
    for promo in items[:MOST_BUTTONS]:
        message.button(asked.press("promos.enabled" if promo.enabled else "promos.disabled", "promos",
                                   f"show {promo.id}", title=promo.title))  # fmt: skip
    return message.row(asked.press("marketing.status_button", "marketing_status"))


def _one(asked: Asked, promo: PromoView | None, numbers: dict[str, PromoClicks]) -> Message:
    if promo is None:
        return Message().text(asked.say("promos.gone")).row(asked.press("promos.list", "promos"))
    message = Message().title(_title(asked, promo)).blank()
    message.bullet(asked.say("promos.detail", cta=promo.cta_text))
    if promo.payload is not None:
        message.bullet(asked.say("promos.payload", payload=promo.payload))
    if promo.url is not None:
        message.bullet(asked.say("promos.url", url=promo.url))
    message.bullet(_numbers(asked, numbers.get(promo.id)))
    return message.row(asked.press("promos.list", "promos"))


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
    usage="[show <promo>]",
    help="Lists the catalogue in its order, with how often each promo was pressed.",
)
