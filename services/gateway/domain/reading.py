"""JSON from strangers, read as PostgreSQL and the broker can keep it."""

import json
import math
from typing import Any

import orjson

from shared.text import clean

DEEPEST = 100
"""Levels of nesting that every reader of an event takes."""
LONGEST_INTEGER = 20
"""Digits, with the sign; no longer one has 64 bits."""


class NotJson(ValueError):
    """A body that is not JSON, as far as it can be read."""


def is_finite(value: Any, body: bytes) -> bool:
    """Say whether every number of a value is one that can be kept; `body` is what it was read from."""
    try:
        # It reads no number beyond a double.
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return _is_finite(value)
    return True


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def read_json(body: bytes) -> Any:
    """Read JSON, with NUL and lone surrogates as U+FFFD; raises NotJson."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        # What JSON allows and orjson does not: lone surrogates, and numbers beyond a double.
        return clean(_read_tolerantly(body))
    return clean(value) if b"\\u0000" in body else value


def is_deep(value: Any, body: bytes) -> bool:
    """Say whether a value is nested deeper than an event may be; `body` is what it was read from."""
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return False
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for node in level
            for inner in (node.values() if isinstance(node, dict) else node)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _read_tolerantly(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_int=_integer, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise NotJson("the body is not JSON") from None


def _integer(digits: str) -> int | float:
    """Return a number as orjson does: a whole one of 64 bits, or a float."""
    number = int(digits) if len(digits) <= LONGEST_INTEGER else None
    return number if number is not None and -(2**63) <= number < 2**64 else float(digits)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
