"""What it means that the broker does not answer: BusUnavailable, wherever it was asked."""

from collections.abc import Iterator
from contextlib import contextmanager

import nats.errors
import nats.js.errors

from shared.bus.errors import BusUnavailable

UNAVAILABLE = 503


@contextmanager
def reaching() -> Iterator[None]:
    """Raise BusUnavailable where the broker does not answer, or cannot; its refusals are the caller's."""
    try:
        yield
    except nats.js.errors.APIError as error:
        if error.code != UNAVAILABLE:
            raise
        raise BusUnavailable("the broker is not available") from error
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise BusUnavailable("the broker did not answer in time") from error
