"""The list of commands that a client shows: one per scope and language."""

import json
import re
from typing import Any

from devstack.telegram.cloud import Call
from devstack.telegram.refusals import bad_request

_NAME = re.compile(r"[a-z0-9_]+")
_LANGUAGE = re.compile(r"|[a-z]{2}")
_SCOPES = {
    "default": (),
    "all_private_chats": (),
    "all_group_chats": (),
    "all_chat_administrators": (),
    "chat": ("chat_id",),
    "chat_administrators": ("chat_id",),
    "chat_member": ("chat_id", "user_id"),
}
MOST_COMMANDS = 100


async def set_my_commands(call: Call) -> bool:
    """Replace the list of a scope and language."""
    listed = call.json("commands", "can't parse commands JSON object")
    if listed is None:
        listed = []
    if not isinstance(listed, list):
        raise bad_request("expected an Array of BotCommand")
    if len(listed) > MOST_COMMANDS:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    call.bot.commands[_key(call)] = [_command(each) for each in listed]
    return True


async def get_my_commands(call: Call) -> list[dict[str, str]]:
    """Return the list of exactly that scope and language."""
    return call.bot.commands.get(_key(call), [])


async def delete_my_commands(call: Call) -> bool:
    """Remove the list of a scope and language."""
    call.bot.commands.pop(_key(call), None)
    return True


def _key(call: Call) -> tuple[str, str]:
    scope = call.json("scope", "can't parse BotCommandScope JSON object")
    if scope is None:
        scope = {"type": "default"}
    if not isinstance(scope, dict):
        raise bad_request("BotCommandScope must be an Object")
    if scope.get("type") not in _SCOPES:
        raise bad_request("unsupported type specified")
    parts: list[Any] = [scope["type"]]
    for name in _SCOPES[scope["type"]]:
        if name not in scope:
            raise bad_request(f"can't parse BotCommandScope: Can't find field \"{name}\"")
        parts.append(str(scope[name]))
    language = call.arguments.text("language_code")
    if not _LANGUAGE.fullmatch(language):
        raise bad_request("invalid language code specified")
    return json.dumps(parts), language


def _command(given: object) -> dict[str, str]:
    if not isinstance(given, dict):
        raise bad_request("expected an Object")
    for name in ("command", "description"):
        if not isinstance(given.get(name), str):
            raise bad_request(f"can't parse BotCommand: Can't find field \"{name}\"")
    name = given["command"].strip().removeprefix("/").strip()
    description = given["description"].strip()
    if not name:
        raise bad_request("command must be non-empty")
    if len(name) > 32:
        raise bad_request("command length must not exceed 32")
    if not description:
        raise bad_request("command description must be non-empty")
    if len(description) > 256:
        raise bad_request("command description length must not exceed 256")
    if not _NAME.fullmatch(name):
        raise bad_request("BOT_COMMAND_INVALID")
    return {"command": name, "description": description}
