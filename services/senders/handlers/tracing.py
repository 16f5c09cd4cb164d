"""The trace of a message, taken up again when its wait is over."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared import telemetry

_HEADER = "traceparent"


def current() -> str | None:
    """Return the current trace, as a message keeps it."""
    return telemetry.inject().get(_HEADER)


@contextmanager
def of_message(trace: str | None) -> Iterator[None]:
    """Continue a message's own trace where none is current: rounds have none."""
    if trace is None or telemetry.trace_id() is not None:
        yield
        return
    with telemetry.continued({_HEADER: trace}):
        yield
