"""The books of gateway: which updates the streams tell of, and what the update log says of each."""

from collections.abc import Iterable

from shared.bus import Stored
from shared.record.books import Line
from shared.record.saying import Said, Source, fields_of, update_key


def _update(stored: Stored) -> Iterable[Said]:
    yield Said("update", update_key(stored, fields_of(stored.payload)))


def _press(stored: Stored) -> Iterable[Said]:
    """Read a press: on a button it is an update too; a deep link's update is in UPDATES already."""
    fields = fields_of(stored.payload)
    if fields.get("source", "button") == "button" and fields.get("update_id") is not None:
        yield Said("update", update_key(stored, fields))


SOURCES = (
    Source("UPDATES", ("updates.>",), _update),
    Source("CLICKS", ("clicks.pressed",), _press),
)

LINES = (
    # Received = handled + dead: what is only received stays a difference, unless it is a dead letter.
    Line(
        "updates",
        "SELECT DISTINCT key, 'handled' AS state FROM said WHERE source = 'update'",
        "SELECT bot_id || ':' || update_id AS key,"
        " CASE status WHEN 'received' THEN 'received' ELSE 'handled' END AS state, false AS open"
        " FROM telegram_webhooks",
        ("gateway_updates", "gateway_presses"),
        by_state=True,
    ),
)
