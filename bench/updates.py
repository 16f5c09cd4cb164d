"""Updates as Telegram sends them: presses on a promo's button, by a thousand people."""

from collections.abc import Iterator
from uuid import UUID

import orjson

from shared import ids

PAYLOAD = "premium"
PEOPLE = 1_000
BOT_ID = 7_000_000_001
_MARK = 9_999_999_999_999_999
"""Where the update's id and the person's are put in; as long as what replaces it."""
_TEXT = (
    "🚀 Premium signals\n\nEvery signal with entry, stop and target, the moment it is made.\n\n"
    "• Entries with the reason behind them\n• Stops that are moved when the market moves\n"
    "• A weekly review of every closed position\n• Questions answered by the people who trade\n\n"
    "Press the button to see how it works."
)


class Presses:
    """Makes bodies of presses on one post."""

    def __init__(self, delivery_id: UUID = ids.derived("delivery", "bench")) -> None:  # noqa: B008 - a constant
        body = orjson.dumps(_update(f"p1.{PAYLOAD}.{ids.to_short(delivery_id)}"))
        self._parts = body.split(str(_MARK).encode())

    def bodies(self, first_update: int, count: int) -> Iterator[bytes]:
        """Yield bodies of distinct updates, from this update id on."""
        before, between, after = self._parts[0], self._parts[1], self._parts[3]
        query = self._parts[2]
        for update in range(first_update, first_update + count):
            number = b"%d" % update
            person = b"%d" % (5_000_000_000 + update % PEOPLE)
            yield b"".join((before, number, between, number, query, person, after))


def _update(data: str) -> dict[str, object]:
    chat = {"id": -1_001_000_000_001, "title": "Trading Signals", "type": "channel", "username": "signals"}
    return {
        "update_id": _MARK,
        "callback_query": {
            "id": str(_MARK),
            "from": {
                "id": _MARK, "is_bot": False, "first_name": "Ada", "username": "ada_lovelace",
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
