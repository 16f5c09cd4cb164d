"""Updates as Telegram sends them, by a thousand people: presses on a promo's button, and all kinds mixed."""

import re
from collections.abc import Iterator
from uuid import UUID

import orjson

from shared import ids

PAYLOAD = "premium"
PEOPLE = 1_000
BOT_ID = 7_000_000_001
_MARK, _WHO = 9_999_999_999_999_999, 9_999_999_999_999_998
"""Where the update's id and the person's are put in."""
NUMBER, WHO = str(_MARK).encode(), str(_WHO).encode()
_MARKS = re.compile(b"(%b|%b)" % (NUMBER, WHO))
_TEXT = (
    "🚀 Premium signals\n\nEvery signal with entry, stop and target, the moment it is made.\n\n"
    "• Entries with the reason behind them\n• Stops that are moved when the market moves\n"
    "• A weekly review of every closed position\n• Questions answered by the people who trade\n\n"
    "Press the button to see how it works."
)


class Updates:
    """Makes bodies of updates from patterns, one after the other."""

    def __init__(self, *patterns: dict[str, object]) -> None:
        self._patterns = [_MARKS.split(orjson.dumps(pattern)) for pattern in patterns]

    def bodies(self, first_update: int, count: int) -> Iterator[bytes]:
        """Yield bodies of distinct updates, from this update id on."""
        for update in range(first_update, first_update + count):
            words = {NUMBER: b"%d" % update, WHO: b"%d" % (5_000_000_000 + update % PEOPLE)}
            pattern = self._patterns[update % len(self._patterns)]
            yield b"".join(words.get(part, part) for part in pattern)


class Presses(Updates):
    """Makes bodies of presses on one post."""

    def __init__(self, delivery_id: UUID = ids.derived("delivery", "bench")) -> None:  # noqa: B008 - a constant
        super().__init__(_press(f"p1.{PAYLOAD}.{ids.to_short(delivery_id)}"))


class Mixed(Updates):
    """Makes bodies of what a bot gets in a day: ten presses, six messages, two commands, an edit, a block."""

    def __init__(self, delivery_id: UUID = ids.derived("delivery", "bench")) -> None:  # noqa: B008 - a constant
        press = _press(f"p1.{PAYLOAD}.{ids.to_short(delivery_id)}")
        text, command = _message("message", "What does the premium plan cost?"), _message("message", "/help")
        edit = _message("edited_message", "What does the premium plan cost per month?")
        half = [press, text, press, text, press, text, press, command, press]
        super().__init__(*half, edit, *half, _member())


def _press(data: str) -> dict[str, object]:
    chat = {"id": -1_001_000_000_001, "title": "Trading Signals", "type": "channel", "username": "signals"}
    return {
        "update_id": _MARK,
        "callback_query": {
            "id": str(_MARK),
            "from": {
                "id": _WHO, "is_bot": False, "first_name": "Ada", "username": "ada_lovelace",
                "language_code": "en",
            },
            "message": {
                "message_id": 4711,
                "sender_chat": chat,
                "chat": chat,
                "date": 1_790_000_000,
                "text": _TEXT,
                "entities": [{"offset": 0, "length": 18, "type": "bold"}],
                "reply_markup": {
                    "inline_keyboard": [[{"text": "Get premium signals 🚀", "callback_data": data}]]
                },
            },
            "chat_instance": "-3187230917230917",
            "data": data,
        },
    }  # fmt: skip


def _person() -> dict[str, object]:
    return {
        "id": _WHO,
        "is_bot": False,
        "first_name": "Ada",
        "username": "ada_lovelace",
        "language_code": "en",
    }


def _chat() -> dict[str, object]:
    return {"id": _WHO, "first_name": "Ada", "username": "ada_lovelace", "type": "private"}


def _message(kind: str, text: str) -> dict[str, object]:
    entities = [{"type": "bot_command", "offset": 0, "length": len(text)}] if text.startswith("/") else []
    message = {
        "message_id": 815, "from": _person(), "chat": _chat(), "date": 1_790_000_000, "text": text,
        "entities": entities,
    }  # fmt: skip
    return {"update_id": _MARK, kind: message}


def _member() -> dict[str, object]:
    bot = {"id": BOT_ID, "is_bot": True, "first_name": "Carillon", "username": "carillon_bot"}
    return {
        "update_id": _MARK,
        "my_chat_member": {
            "chat": _chat(),
            "from": _person(),
            "date": 1_790_000_000,
            "old_chat_member": {"user": bot, "status": "member"},
            "new_chat_member": {"user": bot, "status": "kicked", "until_date": 0},
        },
    }
