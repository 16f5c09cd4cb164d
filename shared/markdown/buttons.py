"""What Telegram accepts as an inline button and as an inline keyboard."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from shared import ids
from shared.events import Button
from shared.markdown.parsing import link_problem

MAX_BUTTONS = 100
MAX_CALLBACK_BYTES = 64
MAX_KEYBOARD_BYTES = 10_000
MAX_COPY_CHARACTERS = 256

_UNPARSED = "can't parse inline keyboard button: "
_OTHER_ACTIONS = (
    "callback_game",
    "pay",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
)
_ANY_DELIVERY = UUID(int=0)


def bot_api_button(button: Button, delivery_id: UUID) -> dict[str, str]:
    """Write a button as the Bot API takes it; a deep-link payload becomes callback data with its delivery."""
    if button.url is not None:
        return {"text": button.text, "url": button.url}
    if button.data is not None:
        return {"text": button.text, "callback_data": button.data}
    data = f"p1.{button.payload}.{ids.to_short(delivery_id)}"
    return {"text": button.text, "callback_data": data}


def button_problem(button: Mapping[str, Any]) -> str | None:
    """Return what Telegram says, after `Bad Request: `, of a Bot API button that it refuses, or None.

    An empty text is no error to Telegram: it skips the button.
    """
    if not isinstance(button.get("text"), str):
        return _UNPARSED + 'Can\'t find field "text"'
    if button.get("url"):
        return _url_problem("inline keyboard button", str(button["url"]))
    if button.get("callback_data"):
        too_long = len(str(button["callback_data"]).encode(errors="replace")) > MAX_CALLBACK_BYTES
        return "BUTTON_DATA_INVALID" if too_long else None
    if any(action in button for action in _OTHER_ACTIONS):
        return None
    return _object_problem(button)


def keyboard_problems(rows: Sequence[Sequence[Button]]) -> list[str]:
    """Return everything that Telegram, or a person who reads the buttons, would not accept of a keyboard."""
    written = [[bot_api_button(button, _ANY_DELIVERY) for button in row] for row in rows]
    problems = []
    for button in (button for row in written for button in row):
        if not button["text"].strip():
            problems.append("a button's text is empty")
        elif problem := button_problem(button):
            problems.append(problem)
        elif not (button.get("url") or button.get("callback_data")):
            problems.append("BUTTON_DATA_INVALID")
    if sum(map(len, written)) > MAX_BUTTONS:
        problems.append(f"a message has at most {MAX_BUTTONS} buttons")
    if len(json.dumps(written)) > MAX_KEYBOARD_BYTES:
        problems.append("reply markup is too long")
    return problems


def _object_problem(button: Mapping[str, Any]) -> str | None:
    for action, title in (("web_app", "Web App"), ("login_url", "login")):
        if isinstance(button.get(action), Mapping):
            return _https_problem(f"inline keyboard button {title}", str(button[action].get("url", "")))
    if isinstance(button.get("copy_text"), Mapping):
        length = len(str(button["copy_text"].get("text", "")))
        return None if 1 <= length <= MAX_COPY_CHARACTERS else "BUTTON_COPY_TEXT_INVALID"
    return _UNPARSED + "Text buttons are unallowed in the inline keyboard"


def _url_problem(subject: str, url: str) -> str | None:
    problem = link_problem(url)
    return f"{subject} {problem}" if problem else None


def _https_problem(subject: str, url: str) -> str | None:
    if problem := _url_problem(subject, url):
        return problem
    if not url.lower().startswith("https://"):
        return f"{subject} URL '{url}' is invalid: Only HTTPS links are allowed"
    return None
