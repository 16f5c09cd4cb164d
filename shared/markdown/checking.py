"""The check that a text gets before it is saved or sent: everything that Telegram would refuse, or lose."""

import re
from collections.abc import Sequence
from typing import Literal

from shared.events import Button
from shared.markdown.buttons import keyboard_problems
from shared.markdown.model import EmptyText, Formatted, ParseError
from shared.markdown.normalising import MAX_ENTITIES, normalise_whole
from shared.markdown.parsing import parse

MAX_CHARACTERS = 4096
MAX_SOURCE_BYTES = 32_768

_LINKS = {"text_link", "text_mention"}
_ESCAPED = r"\\[\x01-\x7e]|\\(?![\x01-\x7e])"
_CODE = rf"`(?!``)(?:{_ESCAPED}|[^`\\])*`"
_BLOCK = rf"```(?:{_ESCAPED}|{_CODE}|[^`\\])*```"
_TARGET = rf"\]\((?:{_ESCAPED}|[^)\\])*\)"
_TOKEN = re.compile(rf"{_ESCAPED}|{_BLOCK}|{_CODE}|{_TARGET}|!\[|(?P<link>\[)")


class Refused(ValueError):
    """A text, or its buttons, that Telegram would refuse or show otherwise than written.

    `problems` are sentences for its author; Telegram's own words wherever it has any.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def check(
    text: str, mode: Literal["MarkdownV2"] | None = "MarkdownV2", buttons: Sequence[Sequence[Button]] = ()
) -> Formatted:
    """Return what Telegram will show of a source (of plain text, without mode); raises Refused."""
    problems = keyboard_problems(buttons)
    try:
        shown = _shown(text, mode)
    except (ParseError, EmptyText) as refusal:
        raise Refused([str(refusal), *problems]) from refusal
    problems = [*_size_problems(text, shown), *_link_problems(text, mode, shown), *problems]
    if problems:
        raise Refused(problems)
    return shown


def _shown(text: str, mode: Literal["MarkdownV2"] | None) -> Formatted:
    return normalise_whole(parse(text, mode) if mode else Formatted(text))


def _size_problems(text: str, shown: Formatted) -> list[str]:
    problems = []
    if len(text.encode()) > MAX_SOURCE_BYTES:
        problems.append("text is too long")
    if len(shown.text) > MAX_CHARACTERS:
        problems.append("message is too long")
    if len(shown.entities) > MAX_ENTITIES:
        problems.append(f"{len(shown.entities)} entities, of which Telegram keeps {MAX_ENTITIES}")
    return problems


def _link_problems(text: str, mode: Literal["MarkdownV2"] | None, shown: Formatted) -> list[str]:
    written = sum(1 for token in _TOKEN.finditer(text) if token["link"]) if mode else 0
    kept = sum(1 for entity in shown.entities if entity.type in _LINKS)
    if kept < written:
        return [f"{written - kept} of {written} links would be shown as bare text"]
    return []
