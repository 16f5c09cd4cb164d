"""A message's text on its way in: sizes, parse_mode, entities, and Telegram's normalisation."""

from typing import Any, Literal

from devstack.telegram.cloud import Call
from devstack.telegram.refusals import bad_request
from shared import markdown
from shared.markdown import Entity, Formatted

LONGEST_RAW_BYTES = 32_768
LONGEST = 4096
MOST_ENTITIES = 100

_MODES: dict[str, Literal["MarkdownV2", "Markdown", "HTML"]] = {
    "markdownv2": "MarkdownV2",
    "markdown": "Markdown",
    "html": "HTML",
}
_STYLES = frozenset({"bold", "italic", "underline", "strikethrough", "spoiler", "code", "pre"})
_QUOTES = frozenset({"blockquote", "expandable_blockquote"})
_CARRIERS = frozenset({"text_link", "text_mention", "custom_emoji", "date_time"})
_DETECTED = frozenset(
    {"mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bank_card_number"}
)


def parsed(call: Call, *, empty: str = "message text is empty") -> Formatted:
    """Return the `text` argument with its entities, not yet normalised; raises Refused."""
    text = call.arguments.text("text")
    if not text:
        raise bad_request(empty)
    if len(text.encode()) > LONGEST_RAW_BYTES:
        raise bad_request("text is too long")
    name = call.arguments.text("parse_mode").lower()
    if name in ("", "none"):
        return Formatted(text, _given(call, text))
    if name not in _MODES:
        raise bad_request("unsupported parse_mode")
    try:
        return markdown.parse(text, _MODES[name])
    except markdown.ParseError as error:
        raise bad_request(f"can't parse entities: {error}") from None


def finished(text: Formatted, *, too_long: str = "message is too long") -> Formatted:
    """Return the text as Telegram keeps it; raises Refused where it is blank or over 4096 code points."""
    try:
        kept = markdown.normalise(text)
    except markdown.EmptyText:
        raise bad_request("text must be non-empty") from None
    if len(kept.text) > LONGEST:
        raise bad_request(too_long)
    return Formatted(kept.text, kept.entities[:MOST_ENTITIES])


def _given(call: Call, text: str) -> tuple[Entity, ...]:
    """Read the `entities` argument; those that Telegram detects by itself are ignored."""
    listed = call.json("entities", "can't parse entities JSON object")
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise bad_request("expected an Array of MessageEntity")
    size = len(text.encode("utf-16-le", "surrogatepass")) // 2
    read = [_entity(each, size) for each in listed]
    return tuple(entity for entity in read if entity is not None)


def _entity(given: object, size: int) -> Entity | None:
    if not isinstance(given, dict):
        raise bad_request("can't parse MessageEntity: expected an Object")
    offset, length = _number(given, "offset"), _number(given, "length")
    kind = given.get("type")
    if not isinstance(kind, str):
        raise bad_request("can't parse MessageEntity: Can't find field \"type\"")
    if kind in _DETECTED:
        return None
    if kind not in _STYLES | _QUOTES | _CARRIERS:
        raise bad_request("can't parse MessageEntity: Unsupported type specified")
    if offset < 0 or length < 0 or offset + length > size:
        raise bad_request("ENTITY_BOUNDS_INVALID")
    return Entity(kind, offset, length, **_details(kind, given))


def _number(given: dict[str, Any], name: str) -> int:
    if name not in given:
        raise bad_request(f"can't parse MessageEntity: Can't find field \"{name}\"")
    try:
        return int(given[name])
    except (TypeError, ValueError):
        raise bad_request(f'can\'t parse MessageEntity: Field "{name}" must be of type Number') from None


def _details(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    match kind:
        case "text_link":
            return {"url": str(given.get("url", ""))}
        case "pre":
            return {"language": str(given["language"])} if given.get("language") else {}
        case "custom_emoji":
            return {"custom_emoji_id": str(given.get("custom_emoji_id", ""))}
        case "text_mention":
            user = given.get("user")
            if not isinstance(user, dict) or not isinstance(user.get("id"), int):
                raise bad_request("can't parse MessageEntity: Can't find field \"user\"")
            return {"user_id": user["id"]}
        case "date_time":
            return {name: given[name] for name in ("unix_time", "date_time_format") if name in given}
        case _:
            return {}
