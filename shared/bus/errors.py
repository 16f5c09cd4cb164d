"""What the bus says when it cannot do what it was asked."""


class RetryLater(Exception):
    """Says that nothing happened and that the event is to be handled again in so many seconds.

    It is not counted as a try. Longer waits than `MAX_SECONDS` belong into a table.
    """

    MAX_SECONDS = 16.0

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds:g} s")
        self.seconds = min(seconds, self.MAX_SECONDS)


class BusUnavailable(Exception):
    """The broker did not confirm in time: the outcome is unknown, publish again with the same id."""


class TooLarge(Exception):
    """The event is larger than the broker takes; publishing it would make the broker hang up."""


class NoAnswer(Exception):
    """The service that was asked did not answer in time; whether it did what was asked is unknown."""


class NobodyThere(NoAnswer):
    """No replica of the service is there to answer."""


class Refusal(Exception):
    """A service's considered no: raised by whoever answers, and raised again at whoever asked.

    `status`, `title` and `detail` are those of an RFC 9457 problem; `extra` holds further members.
    """

    def __init__(
        self, status: int, title: str, detail: str = "", extra: dict[str, object] | None = None
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.extra = extra or {}
