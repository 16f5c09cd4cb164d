"""Performing a call: find the method, run it, and put its result or refusal into Telegram's words."""

import json
from dataclasses import dataclass
from typing import Any

from devstack.telegram import arguments
from devstack.telegram.arguments import Arguments
from devstack.telegram.cloud import Call, Cloud
from devstack.telegram.methods import METHODS
from devstack.telegram.methods.receiving import Noted, Raw
from devstack.telegram.records import Called
from devstack.telegram.refusals import Refused
from devstack.telegram.world import Bot

_NOT_IN_REPLIES = frozenset({"setwebhook", "deletewebhook", "close", "logout"})


@dataclass(frozen=True)
class Answer:
    """An HTTP answer to be: `retry_after` is the value of the header, None where there is none."""

    status: int
    body: bytes
    description: str = ""
    retry_after: int | None = None


def refusal(refused: Refused) -> Answer:
    """Return the answer for a refusal."""
    told: dict[str, Any] = {"ok": False, "error_code": refused.code, "description": refused.description}
    if refused.parameters:
        told["parameters"] = refused.parameters
    retry_after = (refused.parameters or {}).get("retry_after")
    return Answer(refused.code, _json(told), refused.description, retry_after)


async def perform(call: Call, method: str) -> Answer:
    """Run a method, named in any case, and return the answer."""
    if method.lower() not in METHODS:
        return refusal(Refused(404, "Not Found: method not found"))
    try:
        result = await METHODS[method.lower()][1](call)
    except Refused as refused:
        return refusal(refused)
    match result:
        case Raw():
            return Answer(200, b'{"ok":true,"result":' + result.encode(errors="surrogatepass") + b"}")
        case Noted():
            return Answer(200, _json({"ok": True, "result": True, "description": result.description}))
        case _:
            return Answer(200, _json({"ok": True, "result": result}))


def remember(call: Call, method: str, status: int, description: str, fault: str | None = None) -> None:
    """Record a call; methods that do not exist count under one name."""
    name, _ = METHODS.get(method.lower(), ("unknown", None))
    chat_id = chat_named(call.arguments)
    called = Called(
        call.arrived, call.cloud.moment(), call.bot.id, name, chat_id, status, description, fault, call.via
    )
    call.cloud.records.call(called)


def chat_named(given: Arguments) -> int | None:
    """Return the chat_id of a call where it is a number."""
    text = given.text("chat_id")
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 20 else None


async def reply_in_body(cloud: Cloud, bot: Bot, content_type: str, body: bytes) -> None:
    """Perform the call that a webhook's answer holds; nobody is told its result."""
    try:
        given = Arguments(arguments.read_body(content_type, body))
    except UnicodeError:
        return
    method = given.text("method").lower()
    if not method or method in _NOT_IN_REPLIES or method.startswith("get"):
        return
    call = Call(cloud, bot, given, cloud.moment(), via="webhook")
    answer = await perform(call, method)
    remember(call, method, answer.status, answer.description)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
