"""How Telegram says no: a code, a description with its prefix, and sometimes parameters."""

import math


class Refused(Exception):
    """A method call is answered with ok = false."""

    def __init__(self, code: int, description: str, parameters: dict[str, int] | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters


def _worded(prefix: str, text: str) -> str:
    keeps_case = len(text) > 1 and (text[1].isupper() or text[1] == "_")
    return f"{prefix}: {text if keeps_case else text[:1].lower() + text[1:]}"


def bad_request(text: str, parameters: dict[str, int] | None = None) -> Refused:
    """Return a 400; the first letter is lowered unless the text is in SERVER_STYLE."""
    return Refused(400, _worded("Bad Request", text), parameters)


def forbidden(text: str) -> Refused:
    """Return a 403."""
    return Refused(403, _worded("Forbidden", text))


def conflict(text: str) -> Refused:
    """Return a 409."""
    return Refused(409, _worded("Conflict", text))


def too_many_requests(seconds: float) -> Refused:
    """Return a 429 whose retry_after is the wait in whole seconds, at least 1."""
    wait = max(1, math.ceil(seconds))
    return Refused(429, f"Too Many Requests: retry after {wait}", {"retry_after": wait})
