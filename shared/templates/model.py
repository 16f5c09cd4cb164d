"""What rendering gives, and why it may refuse."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Urgency = Literal["very-low", "low", "normal", "high"]


@dataclass(frozen=True, slots=True)
class TelegramText:
    """A Telegram message: MarkdownV2 source."""

    text: str


@dataclass(frozen=True, slots=True)
class Email:
    """An e-mail: its subject (one line, not escaped), HTML, and a text that is written, not scraped."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Push:
    """A Web Push notification; `data` goes to the service worker, `urgency` to the push service."""

    title: str
    body: str
    icon: str
    badge: str
    data: dict[str, str]
    urgency: Urgency


class TemplateProblem(ValueError):
    """A template cannot be rendered as asked; the message is for whoever asked."""


class UnknownTemplate(TemplateProblem):
    """There is no template of that name for that channel; `known` are those that there are."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name, self.known = name, tuple(known)
        super().__init__(f"unknown template {name!r}; there are: {', '.join(self.known) or 'none'}")


class MissingVariables(TemplateProblem):
    """Required variables are not given; `names` has all of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"missing variables: {', '.join(self.names)}")


class InvalidVariable(TemplateProblem):
    """A variable is not what its template expects."""

    def __init__(self, name: str, expected: str, found: object) -> None:
        self.name, self.expected, self.found = name, expected, found
        shown = repr(found[:100]) if isinstance(found, str) else type(found).__name__
        super().__init__(f"{name} is expected to be {expected}, found {shown}")


class BadTemplate(Exception):
    """A template's files are wrong: found when they are loaded, with the file's name."""
