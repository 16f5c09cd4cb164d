"""Variables as people read them: text, numbers, dates, sides and amounts of money."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

from shared.templates.model import InvalidVariable
from shared.text import clean

Scalar = str | int | float | Decimal | date | None
"""What a variable may be (a datetime is a date, a bool an int); None counts as not given."""

_EXCERPT = 500
_PLAIN_DIGITS = 30
_AMOUNT_DIGITS = 20
_SIDES = {"buy": "🟢 BUY", "long": "🟢 BUY", "sell": "🔴 SELL", "short": "🔴 SELL"}
_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+|(?=\.))(\.\d+)?", re.ASCII)
_CENT = Decimal("0.01")


def text(name: str, value: object) -> str:
    """Write any variable: numbers without exponent, times in UTC to the minute; raises InvalidVariable."""
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return clean(str.__str__(value))
        case int() | float() | Decimal():
            return _plain(_decimal(value))
        case datetime(tzinfo=None):
            return f"{value:%Y-%m-%d %H:%M}"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        case date():
            return value.isoformat()
    raise InvalidVariable(name, "text, a number or a date", type(value).__name__)


def excerpt(name: str, value: object) -> str:
    """Write a text that may be long, such as somebody else's error, and cut it to 500 characters."""
    whole = text(name, value)
    return whole if len(whole) <= _EXCERPT else whole[: _EXCERPT - 1] + "…"


def side(name: str, value: object) -> str:
    """Write the side of a trade: buy or long, sell or short, in any case."""
    word = value.strip().casefold() if isinstance(value, str) else ""
    if word not in _SIDES:
        raise InvalidVariable(name, "buy, long, sell or short", value)
    return _SIDES[word]


def money(name: str, value: object) -> str:
    """Write an amount as given, with two decimals at least."""
    return _amount(_number(name, value))


def loss(name: str, value: object) -> str:
    """Write an amount as a loss: once negative, whichever sign it comes with."""
    return _amount(_number(name, value).copy_abs().copy_negate())


KINDS: dict[str, Callable[[str, object], str]] = {
    "text": text,
    "excerpt": excerpt,
    "side": side,
    "money": money,
    "loss": loss,
}
"""How a variable is written, by the kind that its template declares."""


def _number(name: str, value: object) -> Decimal:
    number: Decimal | None = None
    if isinstance(value, str):
        written = value.strip().replace("\u2212", "-")
        if _NUMBER.fullmatch(written):
            number = Decimal(written.replace(",", ""))
    elif isinstance(value, Decimal | int | float) and not isinstance(value, bool):
        number = _decimal(value)
    if number is None or not number.is_finite() or abs(number.adjusted()) > _AMOUNT_DIGITS:
        raise InvalidVariable(name, "an amount", value)
    return number


def _decimal(value: Decimal | float) -> Decimal:
    """Take a float by its shortest spelling: 0.1 is 0.1, not the binary number next to it."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _amount(number: Decimal) -> str:
    exponent = number.as_tuple().exponent
    rounded = number if isinstance(exponent, int) and exponent < -2 else number.quantize(_CENT)
    return f"{rounded or rounded.copy_abs():f}"


def _plain(number: Decimal) -> str:
    if not number.is_finite():
        return str(number)
    if abs(number.adjusted()) > _PLAIN_DIGITS:
        return str(number.normalize())
    return f"{number:f}"
