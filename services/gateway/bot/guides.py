"""`/guides`: reading, saving, and what was read."""

from services.gateway.bot.registry import Asked, Command, Hands, NotUnderstood
from services.gateway.domain.guides import Category, Guide
from services.gateway.domain.roles import Role
from services.gateway.store import Collection
from shared.events import Button
from shared.markdown import Message

MOST = 40
"""Guides in one list; a list is one message, of at most 100 buttons."""


async def guides(asked: Asked, hands: Hands) -> Message:
    """Show categories, a list, or a guide; save, forget, mark as read."""
    match [word.lower() for word in asked.words]:
        case []:
            return await _categories(asked, hands)
        case ["all" | "saved" as which]:
            return await _list(asked, hands, which)
        case [category] if category in set(Category):
            return await _list(asked, hands, category)
        case ["open" | "next" | "save" | "drop" | "read" as verb, guide_id]:
            return await _guide(asked, hands, verb, guide_id)
    raise NotUnderstood


async def _categories(asked: Asked, hands: Hands) -> Message:
    there = {guide.category for guide in await hands.guides.all()}
    message = Message().title(asked.say("guides.title")).blank().text(asked.say("guides.choose"))
    buttons = [asked.press(f"guides.category.{each}", "guides", each) for each in Category if each in there]
    for place in range(0, len(buttons), 2):
        message.row(*buttons[place : place + 2])
    return message.row(
        asked.press("guides.all", "guides", "all"), asked.press("guides.saved", "guides", "saved")
    )


async def _list(asked: Asked, hands: Hands, which: str) -> Message:
    collection = await hands.guides.collection(asked.user.id)
    found = await hands.guides.all(Category(which) if which in set(Category) else None)
    if which == "saved":
        found = [guide for guide in found if guide.id in collection.saved]
    title = f"guides.list_{which}" if which in {"all", "saved"} else f"guides.category.{which}"
    message = Message().title(asked.say(title)).blank()
    for guide in found[:MOST]:
        message.bullet(f"{guide.title} ({asked.say(f'guides.difficulty.{guide.difficulty}')})")
        message.button(_opening(asked, guide, collection))
    if not found:
        message.text(asked.say("guides.none_saved" if which == "saved" else "guides.none"))
    return message.row(asked.press("guides.back", "guides"))


async def _guide(asked: Asked, hands: Hands, verb: str, guide_id: str) -> Message:
    there = await hands.guides.all()
    place = next((place for place, guide in enumerate(there) if guide.id == guide_id), None)
    if place is None:
        return Message().text(asked.say("guides.gone")).row(asked.press("guides.back", "guides"))
    guide = there[(place + 1) % len(there)] if verb == "next" else there[place]
    match verb:
        case "open" | "next":
            await hands.guides.view(asked.user.id, guide.id, asked.cause)
        case "save":
            await hands.guides.save(asked.user.id, guide.id, asked.now)
        case "drop":
            await hands.guides.drop(asked.user.id, guide.id)
        case "read":
            await hands.guides.mark_read(asked.user.id, guide.id, asked.now)
    return await _opened(asked, hands, guide)


async def _opened(asked: Asked, hands: Hands, guide: Guide) -> Message:
    collection = await hands.guides.collection(asked.user.id)
    numbers = await hands.guides.numbers(guide.id)
    facts = (
        asked.say(f"guides.category.{guide.category}"),
        asked.say(f"guides.difficulty.{guide.difficulty}"),
        asked.say("guides.viewed") if numbers.views == 1 else asked.say("guides.views", n=numbers.views),
    )
    message = Message().title(guide.title).text(" · ".join(facts)).blank().source(guide.text)
    keep = ("guides.drop", "drop") if guide.id in collection.saved else ("guides.save", "save")
    row = [asked.press(keep[0], "guides", f"{keep[1]} {guide.id}")]
    if guide.id not in collection.read:
        row.append(asked.press("guides.mark_read", "guides", f"read {guide.id}"))
    message.row(*row)
    return message.row(
        asked.press("guides.back", "guides", guide.category),
        asked.press("guides.next", "guides", f"next {guide.id}"),
    )


def _opening(asked: Asked, guide: Guide, collection: Collection) -> Button:
    key = "guides.read" if guide.id in collection.read else "guides.unread"
    return asked.press(key, "guides", f"open {guide.id}", title=guide.title)


GUIDES = Command(
    name="guides",
    category="guides",
    description="Guides to read",
    role=Role.PUBLIC,
    run=guides,
    usage="[category|all|saved]",
    help="Guides by subject: open them, save them, and mark those that you have read.",
)
