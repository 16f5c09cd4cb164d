"""Telegram's normalisation: what becomes of a parsed text before it is stored and shown."""

import re
from collections.abc import Sequence
from dataclasses import replace

from shared.markdown import tdlib
from shared.markdown.model import EmptyText, Entity, Formatted, ParseError
from shared.markdown.parsing import detect_all

MAX_ENTITIES = 100

_SPLITTABLE = {"bold", "italic", "underline", "strikethrough", "spoiler"}
_QUOTES = {"blockquote", "expandable_blockquote"}
_UNSEEN = {"bank_card"}

_PLAIN_TYPES = {
    "bold": "Bold",
    "italic": "Italic",
    "underline": "Underline",
    "strikethrough": "Strikethrough",
    "spoiler": "Spoiler",
    "blockquote": "BlockQuote",
    "expandable_blockquote": "ExpandableBlockQuote",
    "code": "Code",
    "pre": "Pre",
}
_CARRYING_TYPES = {
    "text_link": ("TextUrl", "url", "tg://n?n={}"),
    "text_mention": ("MentionName", "user_id", "{}"),
    "custom_emoji": ("CustomEmoji", "custom_emoji_id", "{}"),
    "date_time": ("DateTime", "unix_time", "{}"),
    "pre": ("PreCode", "language", "{}"),
}
_FOUND = ("MediaTimestamp", "media_timestamp", "{}")

# TDLib cleans entities in `parseMarkdown`, which then looks for marks in the text. So it is shown a skeleton
# without any: what its cleaning may touch stays, every other character is a placeholder of as many UTF-16
# units and no more bytes.
_TOUCHED = "\x00-\x20\u030a\u0333\u033f\u200c\u200e\u200f\u2028-\u202e"
_UNTOUCHED = re.compile(f"[^{_TOUCHED}]")
_NARROW, _WIDE = "x", "\U0001d431"
_NARROW_RUN, _WIDE_RUN = (
    re.compile(f"[^{_TOUCHED}\U00010000-\U0010ffff]+"),
    re.compile("[\U00010000-\U0010ffff]+"),
)
_PLACEHOLDER = re.compile(f"[{_NARROW}{_WIDE}]")

_BLANK = re.compile(
    "[ \n\u00a0\u1680\u180e\u2000-\u200f\u202e\u202f\u205f\u2800\u3000\ufeff\ufffc\U000e0000-\U000e007f]*"
)


def normalise(formatted: Formatted) -> Formatted:
    """Return what Telegram stores and shows of a parsed text: its first 100 entities; raises EmptyText."""
    whole = normalise_whole(formatted)
    return Formatted(whole.text, whole.entities[:MAX_ENTITIES])


def normalise_whole(formatted: Formatted) -> Formatted:
    """Return what Telegram makes of a parsed text before it counts entities; raises EmptyText."""
    cleaned = _trim(_tidy(formatted.text, formatted.entities))
    if _BLANK.fullmatch(cleaned.text):
        raise EmptyText
    own = cleaned.entities
    blocked = [each for each in own if each.type not in _SPLITTABLE | _QUOTES]
    found = [
        each
        for each in detect_all(cleaned.text)
        if each.type != "media_timestamp"
        and not any(each.offset < other.end and other.offset < each.end for other in blocked)
    ]
    if found:
        own = _tidy(cleaned.text, (*own, *found)).entities
    return Formatted(cleaned.text, tuple(each for each in own if each.type not in _UNSEEN))


def _tidy(text: str, entities: Sequence[Entity]) -> Formatted:
    """Let TDLib replace control characters and merge, split, drop and sort entities."""
    skeleton = _NARROW_RUN.sub(lambda found: _NARROW * len(found[0]), text)
    skeleton = _WIDE_RUN.sub(lambda found: _WIDE * len(found[0]), skeleton)
    wire = [_to_tdlib(index, entity) for index, entity in enumerate(entities, start=1)]
    answer = tdlib.execute(
        "parseMarkdown", text={"@type": "formattedText", "text": skeleton, "entities": wire}
    )
    if answer["@type"] == "error":
        raise ParseError(answer["message"])
    whole = text
    if answer["text"] != skeleton:
        originals = iter(_UNTOUCHED.findall(text))
        whole = _PLACEHOLDER.sub(lambda _: next(originals), answer["text"])
    return Formatted(whole, tuple(_from_tdlib(each, entities) for each in answer["entities"]))


def _to_tdlib(index: int, entity: Entity) -> tdlib.Answer:
    """Write an entity for TDLib; what it carries is replaced by its number, to be put back afterwards."""
    if entity.type in _PLAIN_TYPES and entity.language is None:
        kind = {"@type": f"textEntityType{_PLAIN_TYPES[entity.type]}"}
    else:
        name, field, number = _CARRYING_TYPES.get(entity.type, _FOUND)
        kind = {"@type": f"textEntityType{name}", field: number.format(index)}
    return {"@type": "textEntity", "offset": entity.offset, "length": entity.length, "type": kind}


def _from_tdlib(wire: tdlib.Answer, entities: Sequence[Entity]) -> Entity:
    kind = wire["type"]
    name = kind["@type"].removeprefix("textEntityType")
    for carrier, field, _ in (*_CARRYING_TYPES.values(), _FOUND):
        if name == carrier:
            index = int(str(kind[field]).rpartition("=")[2])
            return _placed(entities[index - 1], wire["offset"], wire["length"])
    plain = next(own for own, theirs in _PLAIN_TYPES.items() if theirs == name)
    return Entity(plain, wire["offset"], wire["length"])


def _trim(formatted: Formatted) -> Formatted:
    """Drop spaces and line breaks at the end, and those before the first entity."""
    text = formatted.text.rstrip(" \n")
    end = len(text.encode("utf-16-le", "surrogatepass")) // 2
    kept = [
        _placed(each, each.offset, min(each.length, end - each.offset))
        for each in formatted.entities
        if each.offset < end
    ]
    kept.sort(key=lambda each: (each.offset, -each.length))
    leading = len(text) - len(text.lstrip(" \n"))
    cut = min([leading, *(each.offset for each in kept)])
    return Formatted(text[cut:], tuple(_placed(each, each.offset - cut, each.length) for each in kept))


def _placed(entity: Entity, offset: int, length: int) -> Entity:
    """Return an entity at a place: most are there already."""
    if (entity.offset, entity.length) == (offset, length):
        return entity
    return replace(entity, offset=offset, length=length)
