"""Spans for database statements: a statement's text with its placeholders, never a value.

OpenTelemetry's own instrumentation of SQLAlchemy stops at version 2.0, and writes the database's error text,
which quotes values, into the span.
"""

from typing import Any

from opentelemetry import trace
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext

from shared import telemetry

_SPAN = "carillon_span"
_LONGEST = 2000
"""Characters of a statement that a span shows."""


def trace_statements(engine: Engine) -> None:
    """Make a span for every statement of an engine, where anybody gets them."""
    if not telemetry.records():
        return
    event.listen(engine, "before_cursor_execute", _begin)
    event.listen(engine, "after_cursor_execute", _end)
    event.listen(engine, "handle_error", _fail)


def _begin(
    connection: Connection, _cursor: Any, statement: str, _values: Any, _context: Any, _many: bool
) -> None:
    words = statement.split(maxsplit=1)
    connection.info[_SPAN] = telemetry.tracer.start_span(
        f"sql {words[0].lower() if words else ''}".rstrip(),
        kind=trace.SpanKind.CLIENT,
        attributes={
            "db.system.name": "postgresql",
            "db.namespace": connection.engine.url.database or "",
            "db.query.text": statement.strip()[:_LONGEST],
        },
    )


def _end(connection: Connection, *_: Any) -> None:
    if (span := connection.info.pop(_SPAN, None)) is not None:
        span.end()


def _fail(failure: ExceptionContext) -> None:
    connection = failure.connection
    # An invalidated connection has no info any more: it would connect again to look for it.
    if connection is None or connection.closed or connection.invalidated:
        return
    if (span := connection.info.pop(_SPAN, None)) is not None:
        state = getattr(failure.original_exception, "sqlstate", None)
        if state:
            span.set_attribute("db.response.status_code", str(state))
        span.set_status(trace.StatusCode.ERROR, type(failure.original_exception).__name__)
        span.end()
