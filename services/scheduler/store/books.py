"""The books of scheduler: what the streams said of posts and skipped slots, and what the promo log says."""

from collections.abc import Iterable

from shared.bus import Stored
from shared.record.books import BEST, Line
from shared.record.saying import Said, Source, fields_of, key_of, named, outcome


def _due(stored: Stored) -> Iterable[Said]:
    yield Said("promo", key_of(stored, fields_of(stored.payload)), "pending")


def _outcome(stored: Stored) -> Iterable[Said]:
    fields = fields_of(stored.payload)
    if fields.get("promo"):
        yield outcome("promo", stored, fields, str(fields.get("message_id")))


SOURCES = (
    Source("PROMOS", ("promos.due",), _due),
    Source("PROMOS", ("promos.skipped",), named("skipped")),
    Source("OUTCOMES", ("outcomes.>",), _outcome),
)

DURABLES = ("scheduler_promos", "scheduler_outcomes")

LINES = (
    Line(
        "promo log",
        f"SELECT key, state FROM {BEST} AS best WHERE source = 'promo'",  # noqa: S608 - a constant
        "SELECT CAST(id AS text) AS key, state, false AS open FROM promo_log_chats WHERE state <> 'skipped'",
        DURABLES,
        by_state=True,
    ),
    Line(
        "slots skipped",
        "SELECT DISTINCT key, '' AS state FROM said WHERE source = 'skipped'",
        "SELECT CAST(id AS text) AS key, '' AS state, false AS open FROM promo_log_chats"
        " WHERE state = 'skipped'",
        DURABLES,
    ),
)
