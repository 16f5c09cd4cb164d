"""The books of clicks: what the streams said of presses and posts, and where its tables keep it."""

from collections.abc import Iterable

from shared.bus import Stored
from shared.record.books import Line
from shared.record.saying import Said, Source, fields_of, key_of, named


def _post(stored: Stored) -> Iterable[Said]:
    fields = fields_of(stored.payload)
    if fields.get("promo"):
        yield Said("post", key_of(stored, fields))


SOURCES = (
    Source("CLICKS", ("clicks.pressed",), named("press")),
    Source("CLICKS", ("clicks.annotated",), named("annotation")),
    Source("OUTCOMES", ("outcomes.posted.>",), _post),
)

LINES = (
    Line(
        "clicks",
        "SELECT DISTINCT key, '' AS state FROM said WHERE source = 'press'",
        "SELECT CAST(id AS text) AS key, '' AS state, false AS open FROM marketing_clicks",
        ("clicks_presses",),
    ),
    Line(
        "annotations",
        "SELECT DISTINCT key, '' AS state FROM said WHERE source = 'annotation'",
        "SELECT CAST(id AS text) AS key, '' AS state, false AS open FROM click_annotations",
        ("clicks_annotations",),
    ),
    Line(
        "posts",
        "SELECT DISTINCT key, '' AS state FROM said WHERE source = 'post'",
        "SELECT CAST(id AS text) AS key, '' AS state, false AS open FROM posts",
        ("clicks_posts",),
    ),
)
