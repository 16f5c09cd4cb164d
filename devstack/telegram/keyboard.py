"""reply_markup: read and checked as Telegram does, in two steps with other checks between them."""

import json
from typing import Any

from devstack.telegram.cloud import Call
from devstack.telegram.refusals import bad_request
from shared import markdown

MOST_BUTTONS = 100
MOST_IN_ROW = 12
MOST_READ = 300
LONGEST_MARKUP = 10_000
_OTHERS = ("keyboard", "remove_keyboard", "force_reply")

Markup = dict[str, Any]


def read(call: Call) -> Markup | None:
    """Return the markup with its buttons' shapes checked; raises Refused."""
    not_an_object = "object expected as reply markup"
    given = call.json("reply_markup", "can't parse reply keyboard markup JSON object", null=not_an_object)
    if given is None:
        return None
    if not isinstance(given, dict):
        raise bad_request(not_an_object)
    if "inline_keyboard" not in given:
        return {name: given[name] for name in _OTHERS if name in given} or None
    rows = given["inline_keyboard"]
    if not isinstance(rows, list):
        raise bad_request('field "inline_keyboard" must be of type Array')
    if not all(isinstance(row, list) for row in rows):
        raise bad_request('field "inline_keyboard" must be an Array of Arrays')
    kept, left = [], MOST_READ
    for row in rows:
        buttons = [button for each in row[:MOST_IN_ROW] if (button := _button(each)) is not None][:left]
        left -= len(buttons)
        if buttons:
            kept.append(buttons)
    return {"inline_keyboard": kept} if kept else None


def _button(given: object) -> Markup | None:
    """Return a button with its text and its one action; one with an empty text is skipped."""
    fault = "can't parse inline keyboard button: "
    if not isinstance(given, dict):
        raise bad_request(f"{fault}expected an Object")
    if "text" not in given:
        raise bad_request(f'{fault}Can\'t find field "text"')
    if not isinstance(given["text"], str):
        raise bad_request(f'{fault}Field "text" must be of type String')
    if not given["text"]:
        return None
    for action in ("url", "callback_data"):
        value = given.get(action)
        if value is not None and not isinstance(value, str | int):
            raise bad_request(f'{fault}Field "{action}" must be of type String')
        if value not in (None, ""):
            return {"text": given["text"], action: str(value)}
    for action in ("switch_inline_query", "switch_inline_query_current_chat"):
        if action in given:
            return {"text": given["text"], action: str(given[action])}
    for action in ("web_app", "login_url", "copy_text"):
        if isinstance(given.get(action), dict):
            return {"text": given["text"], action: given[action]}
    raise bad_request(f"{fault}Text buttons are unallowed in the inline keyboard")


def check(markup: Markup | None) -> None:
    """Check what the buttons hold and normalise their URLs in place; raises Refused."""
    if markup is None or "inline_keyboard" not in markup:
        return
    buttons = [button for row in markup["inline_keyboard"] for button in row]
    for button in buttons:
        if problem := markdown.button_problem(button):
            raise bad_request(problem)
        if "url" in button:
            button["url"] = _normalised(button["url"])
    if len(buttons) > MOST_BUTTONS or len(json.dumps(markup).encode()) > LONGEST_MARKUP:
        raise bad_request("reply markup is too long")


def _normalised(url: str) -> str:
    """Return the URL as TDLib writes it, asked by way of a link in a text: both follow the same rule."""
    escaped = url.replace("\\", "\\\\").replace(")", "\\)")
    entities = markdown.parse(f"[x]({escaped})").entities
    return (entities[0].url if entities else None) or url
