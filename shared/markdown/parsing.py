"""Telegram's own parser, offline: what a source means, and what a plain text shows by itself."""

from functools import lru_cache

from shared.markdown import tdlib
from shared.markdown.model import Entity, Formatted, Mode, ParseError

_MODES = {
    "MarkdownV2": {"@type": "textParseModeMarkdown", "version": 2},
    "Markdown": {"@type": "textParseModeMarkdown", "version": 1},
    "HTML": {"@type": "textParseModeHTML"},
}
_PREFIX = "Can't parse entities: "
_UNSEEN_BY_BOTS = {"bank_card", "media_timestamp"}


def parse(text: str, mode: Mode = "MarkdownV2") -> Formatted:
    """Parse a source as Telegram does, before its normalisation; raises ParseError.

    An invalid link is no error to Telegram: the text stays and the link is gone (`check` finds that).
    """
    answer = tdlib.execute("parseTextEntities", text=text, parse_mode=_MODES[mode])
    if answer["@type"] == "error":
        raise ParseError(str(answer["message"]).removeprefix(_PREFIX))
    return Formatted(answer["text"], tdlib.entities(answer))


def detect(text: str) -> tuple[Entity, ...]:
    """Find what Telegram marks by itself and shows to bots: commands, mentions, hashtags, URLs, e-mails."""
    return tuple(entity for entity in detect_all(text) if entity.type not in _UNSEEN_BY_BOTS)


def detect_all(text: str) -> tuple[Entity, ...]:
    """Find also what Telegram detects and does not show to bots; raises ParseError for lone surrogates."""
    answer = tdlib.execute("getTextEntities", text=text)
    if answer["@type"] == "error":
        raise ParseError(answer["message"])
    return tdlib.entities(answer)


@lru_cache(maxsize=256)
def link_problem(url: str) -> str | None:
    """Return Telegram's words for what is wrong with a link's target, or None."""
    link = {"@type": "textEntityTypeTextUrl", "url": url}
    entity = {"@type": "textEntity", "offset": 0, "length": 1, "type": link}
    answer = tdlib.execute(
        "parseMarkdown", text={"@type": "formattedText", "text": "x", "entities": [entity]}
    )
    if answer["@type"] != "error":
        return None
    return str(answer["message"]).removeprefix("Entity ")
