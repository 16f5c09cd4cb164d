"""The bot's list of commands, per scope and language."""

from typing import Any

import pytest

LIST = [{"command": "start", "description": "Begin"}]


async def test_lists_are_kept_per_scope_and_language(street: Any) -> None:
    """Each scope and language has a list of its own; deleting one leaves the others."""
    chat_scope = {"type": "chat", "chat_id": 42}
    await street.result("setMyCommands", commands=LIST)
    await street.result("setMyCommands", commands=[], scope=chat_scope)
    spanish = [{"command": "start", "description": "Empezar"}]
    await street.result("setMyCommands", commands=spanish, language_code="es")
    assert await street.result("getMyCommands") == LIST
    assert await street.result("getMyCommands", scope=chat_scope) == []
    assert await street.result("getMyCommands", language_code="es") == spanish
    assert await street.result("deleteMyCommands") is True
    assert await street.result("getMyCommands") == []
    assert await street.result("getMyCommands", language_code="es") == spanish


async def test_slash_and_spaces_are_stripped(street: Any) -> None:
    """A leading slash and spaces around are no part of a command."""
    await street.result("setMyCommands", commands=[{"command": " /start ", "description": " Begin "}])
    assert await street.result("getMyCommands") == LIST


@pytest.mark.parametrize(
    ("command", "description", "told"),
    [
        ("", "x", "command must be non-empty"),
        ("x" * 33, "x", "command length must not exceed 32"),
        ("start", "", "command description must be non-empty"),
        ("start", "x" * 257, "command description length must not exceed 256"),
        ("start-marketing", "x", "BOT_COMMAND_INVALID"),
        ("Start", "x", "BOT_COMMAND_INVALID"),
    ],
)
async def test_bad_commands_are_refused(street: Any, command: str, description: str, told: str) -> None:
    """Each fault of a command has its words, and the former list stays."""
    await street.result("setMyCommands", commands=LIST)
    listed = [{"command": command, "description": description}]
    assert await street.refusal("setMyCommands", commands=listed) == (400, f"Bad Request: {told}")
    assert await street.result("getMyCommands") == LIST


async def test_more_than_a_hundred_are_too_much(street: Any) -> None:
    """A list holds at most a hundred commands."""
    listed = [{"command": f"c{n}", "description": "x"} for n in range(101)]
    told = await street.refusal("setMyCommands", commands=listed)
    assert told == (400, "Bad Request: BOT_COMMANDS_TOO_MUCH")
