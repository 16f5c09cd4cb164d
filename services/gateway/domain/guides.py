"""Guides: what people can read in the bot, one message each."""

import re
from dataclasses import dataclass
from enum import StrEnum

from shared.markdown import check, escape

_ID = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)


class Category(StrEnum):
    """What a guide is about."""

    TRADING = "trading"
    TECHNICAL = "technical"
    RISK = "risk"
    PSYCHOLOGY = "psychology"
    AUTOMATION = "automation"
    PLATFORM = "platform"


class Difficulty(StrEnum):
    """For whom a guide is."""

    BEGINNER = "beginner"
    INTERMEDIATE = "intermediate"
    ADVANCED = "advanced"


@dataclass(frozen=True)
class Guide:
    """A guide; `text` is MarkdownV2 source, `position` its place in the list."""

    id: str
    category: Category
    difficulty: Difficulty
    title: str
    text: str
    position: int = 0
    enabled: bool = True


def shown(guide: Guide, *facts: str) -> str:
    """Return the message that shows a guide, as MarkdownV2: title, facts in plain text, then its text."""
    line = escape(" · ".join(facts))
    return f"*{escape(guide.title)}*\n{line}\n\n{guide.text}"


def check_guide(guide: Guide) -> None:
    """Raise ValueError for an id that cannot be, markdown.Refused for what Telegram would refuse."""
    if not _ID.fullmatch(guide.id):
        raise ValueError("expected 1 to 32 of a-z, 0-9 and _")
    # With room for its facts, in whatever language.
    check(shown(guide, "x" * 120))
