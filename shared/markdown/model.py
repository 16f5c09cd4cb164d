"""Formatted text in the Bot API's vocabulary, and the ways in which Telegram refuses a text."""

from dataclasses import dataclass
from typing import Any, Literal

Mode = Literal["MarkdownV2", "Markdown", "HTML"]


@dataclass(frozen=True, slots=True)
class Entity:
    """A stretch of a text that means or looks something: `offset` and `length` in UTF-16 units.

    `type` is the Bot API's word (bold, text_link, bot_command…); the other fields belong to one type each.
    """

    type: str
    offset: int
    length: int
    url: str | None = None
    language: str | None = None
    user_id: int | None = None
    custom_emoji_id: str | None = None
    unix_time: int | None = None
    date_time_format: str | None = None

    @property
    def end(self) -> int:
        """The offset just behind the entity."""
        return self.offset + self.length

    def to_dict(self) -> dict[str, Any]:
        """Return the entity as the Bot API writes it; a mentioned user is named by their id."""
        optional = {
            "url": self.url,
            "language": self.language,
            "custom_emoji_id": self.custom_emoji_id,
            "unix_time": self.unix_time,
            "date_time_format": self.date_time_format,
        }
        written = {"type": self.type, "offset": self.offset, "length": self.length}
        written.update({key: value for key, value in optional.items() if value is not None})
        if self.user_id is not None:
            written["user"] = {"id": self.user_id, "is_bot": False, "first_name": str(self.user_id)}
        return written


@dataclass(frozen=True, slots=True)
class Formatted:
    """A text without marks, and the entities that the marks stood for, sorted by offset."""

    text: str
    entities: tuple[Entity, ...] = ()


class ParseError(ValueError):
    """Telegram's parser refuses the source; the message is Telegram's own, without any prefix."""


class EmptyText(ValueError):
    """Nothing visible is left of a text; the message is Telegram's own, without prefix."""

    def __init__(self) -> None:
        super().__init__("text must be non-empty")
