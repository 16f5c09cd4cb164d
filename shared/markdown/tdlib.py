"""TDLib's synchronous functions, offline: what they are asked and answer, in the Bot API's vocabulary."""

import json
from typing import Any

import orjson
import tdjson

from shared.markdown.model import Entity

Answer = dict[str, Any]

_TYPES = {
    "textEntityTypeMention": "mention",
    "textEntityTypeHashtag": "hashtag",
    "textEntityTypeCashtag": "cashtag",
    "textEntityTypeBotCommand": "bot_command",
    "textEntityTypeUrl": "url",
    "textEntityTypeEmailAddress": "email",
    "textEntityTypePhoneNumber": "phone_number",
    "textEntityTypeBankCardNumber": "bank_card",
    "textEntityTypeBold": "bold",
    "textEntityTypeItalic": "italic",
    "textEntityTypeUnderline": "underline",
    "textEntityTypeStrikethrough": "strikethrough",
    "textEntityTypeSpoiler": "spoiler",
    "textEntityTypeBlockQuote": "blockquote",
    "textEntityTypeExpandableBlockQuote": "expandable_blockquote",
    "textEntityTypeCode": "code",
    "textEntityTypePre": "pre",
    "textEntityTypePreCode": "pre",
    "textEntityTypeTextUrl": "text_link",
    "textEntityTypeMentionName": "text_mention",
    "textEntityTypeCustomEmoji": "custom_emoji",
    "textEntityTypeDateTime": "date_time",
    "textEntityTypeMediaTimestamp": "media_timestamp",
}
_FIELDS = ("url", "language", "user_id", "custom_emoji_id", "unix_time")


def execute(request: str, **arguments: object) -> Answer:
    """Call one of TDLib's synchronous functions and return its answer, or its error, as JSON."""
    answer = tdjson.td_execute(_written({"@type": request, **arguments}))
    if answer is None:
        raise RuntimeError(f"TDLib has no synchronous function {request}")
    parsed: Answer = orjson.loads(answer)
    return parsed


def _written(question: Answer) -> bytes:
    try:
        return orjson.dumps(question)
    except orjson.JSONEncodeError:
        # Escaped to ASCII a lone surrogate can reach TDLib, which then names it as an error.
        return json.dumps(question).encode()


def entities(answer: Answer) -> tuple[Entity, ...]:
    """Read the entities of a TDLib answer; kinds newer than this list are left out."""
    return tuple(
        _read(each["offset"], each["length"], each["type"])
        for each in answer["entities"]
        if each["type"]["@type"] in _TYPES
    )


def _read(offset: int, length: int, kind: Answer) -> Entity:
    fields = {field: kind[field] for field in _FIELDS if kind.get(field)}
    if kind["@type"] == "textEntityTypeDateTime":
        fields["date_time_format"] = _date_format(kind.get("formatting_type"))
    return Entity(_TYPES[kind["@type"]], offset, length, **fields)


def _date_format(formatting: Answer | None) -> str | None:
    if formatting is None:
        return None
    if formatting["@type"] == "dateTimeFormattingTypeRelative":
        return "r"
    letters = {"dateTimePartPrecisionShort": "dt", "dateTimePartPrecisionLong": "DT"}
    date = letters.get(formatting["date_precision"]["@type"], "  ")[0]
    time = letters.get(formatting["time_precision"]["@type"], "  ")[1]
    return ("w" if formatting["show_day_of_week"] else "") + f"{date}{time}".replace(" ", "")


execute("setLogVerbosityLevel", new_verbosity_level=0)
