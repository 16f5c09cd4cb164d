"""Bot API objects as JSON values: users, chats, messages, members."""

from collections.abc import Iterable
from typing import Any

from devstack.telegram.world import Chat, Message, User, World
from shared.markdown import Entity

Json = dict[str, Any]


def user(who: User) -> Json:
    """Return a User."""
    fields = {
        "id": who.id,
        "is_bot": who.is_bot,
        "first_name": who.first_name,
        "last_name": who.last_name,
        "username": who.username,
        "language_code": who.language_code,
    }
    return {name: value for name, value in fields.items() if value is not None}


def chat(where: Chat) -> Json:
    """Return a Chat."""
    if where.user is not None:
        person = user(where.user)
        named: Json = {
            name: person[name] for name in ("first_name", "last_name", "username") if name in person
        }
        return {"id": where.id, **named, "type": "private"}
    public = {"username": where.username} if where.username else {}
    return {"id": where.id, "title": where.title, **public, "type": where.type}


def message(what: Message, world: World) -> Json:
    """Return a Message; only inline keyboards are shown as reply_markup."""
    shape: Json = {"message_id": what.id}
    if what.chat.type == "channel":
        shape["sender_chat"] = chat(what.chat)
    elif what.sender is not None:
        shape["from"] = user(what.sender)
    shape["chat"] = chat(what.chat)
    shape["date"] = what.date
    if what.edit_date is not None:
        shape["edit_date"] = what.edit_date
    shape.update(what.more)
    if what.text is not None:
        shape["text"] = what.text
        if shown := entities(what.entities, world):
            shape["entities"] = shown
    if what.reply_markup is not None and "inline_keyboard" in what.reply_markup:
        shape["reply_markup"] = what.reply_markup
    return shape


def entities(found: Iterable[Entity], world: World) -> list[Json]:
    """Return MessageEntities; a mention of somebody unknown is dropped, as Telegram does."""
    shown = []
    for entity in found:
        if entity.type != "text_mention":
            shown.append(entity.to_dict())
        elif (who := world.users.get(entity.user_id or 0)) is not None:
            at = {"type": entity.type, "offset": entity.offset, "length": entity.length}
            shown.append({**at, "user": user(who)})
    return shown


def inaccessible(where: Chat, message_id: int) -> Json:
    """Return an InaccessibleMessage: one that the bot cannot see any more."""
    return {"chat": chat(where), "message_id": message_id, "date": 0}


def member(who: User, status: str) -> Json:
    """Return a ChatMember of status member, left, kicked or restricted-by-ban."""
    more = {"until_date": 0} if status == "kicked" else {}
    return {"user": user(who), "status": status, **more}
