"""Commands as people type them, and the rules for their names."""

import re
from dataclasses import dataclass
from typing import Literal

MOST_DATA_BYTES = 64
_TYPED = re.compile(r"/([A-Za-z0-9_-]{1,64})(?:@([A-Za-z0-9_]{3,32}))?(?:\s+(.*))?", re.ASCII | re.DOTALL)
_PRESSED = re.compile(r"c1\.([a-z0-9_]{1,32})(?: (.*))?", re.ASCII | re.DOTALL)
_NAME = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_ALIAS = re.compile(r"[a-z0-9_-]{1,32}", re.ASCII)


@dataclass(frozen=True)
class Typed:
    """A command as it was typed: its name in lower case, the bot it is for if one is named, the rest."""

    name: str
    bot: str | None
    rest: str

    def is_for(self, username: str | None) -> bool:
        """Say whether the command is meant for the bot of that user name."""
        return self.bot is None or (username is not None and self.bot.lower() == username.lower())


def typed_in(text: str | None) -> Typed | None:
    """Return the command that a message is, or None when it is none."""
    found = _TYPED.fullmatch(text) if text else None
    return Typed(found[1].lower(), found[2], (found[3] or "").strip()) if found else None


def pressed_in(data: str | None) -> Typed | None:
    """Return the command that a button of the bot's own stands for, or None for any other button."""
    found = _PRESSED.fullmatch(data) if data else None
    return Typed(found[1], None, (found[2] or "").strip()) if found else None


def command_in(kind: str, text: str | None) -> Typed | None:
    """Return the command that an update is, by its kind and its words, typed or pressed."""
    if kind == "message":
        return typed_in(text)
    return pressed_in(text) if kind == "callback_query" else None


def press_data(command: str, rest: str = "") -> str:
    """Return the callback data of a button that gives a command; raises ValueError where it does not fit."""
    data = f"c1.{command} {rest}".rstrip()
    if len(data.encode()) > MOST_DATA_BYTES or pressed_in(data) is None:
        raise ValueError(f"'{data}' cannot be a button's callback data")
    return data


def check_name(name: str) -> None:
    """Raise ValueError for a name that Telegram does not allow."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"'{name}' cannot be a command; Telegram allows 1 to 32 of a-z, 0-9 and _")


def check_alias(alias: str) -> None:
    """Raise ValueError for an alias that cannot be typed; not being published, it may have a hyphen."""
    if not _ALIAS.fullmatch(alias):
        raise ValueError(f"'{alias}' cannot be an alias; expected 1 to 32 of a-z, 0-9, _ and -")


@dataclass(frozen=True)
class Done:
    """What was done with a message that may be a command; `error` is an error's id."""

    status: Literal["handled", "ignored", "refused", "failed", "expired"]
    command: str | None = None
    error: str | None = None
