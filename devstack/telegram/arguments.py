"""What a method is called with, read from query string and body as the Bot API server reads it."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from devstack.telegram.refusals import bad_request

_JSON = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_INTEGER = re.compile(r"[+-]?\d+")
_NAME = re.compile(rb'[;\s]name="?([^";\r\n]*)"?', re.IGNORECASE)
_TRUE = frozenset({"true", "yes", "1"})

Pairs = list[tuple[str, str]]


class Arguments:
    """The named texts of one call; of several with one name the first counts."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._texts: dict[str, str] = {}
        for name, text in pairs:
            self._texts.setdefault(name, text)

    def __contains__(self, name: str) -> bool:
        return name in self._texts

    def text(self, name: str) -> str:
        """Return the text, empty where it is absent."""
        return self._texts.get(name, "")

    def flag(self, name: str) -> bool:
        """Return whether it is true, yes or 1, in any case."""
        return self.text(name).lower() in _TRUE

    def integer(self, name: str, default: int = 0, *, low: int = -(2**63), high: int = 2**63 - 1) -> int:
        """Return the leading digits as a number within the bounds; garbage is 0."""
        if name not in self._texts:
            return default
        digits = _INTEGER.match(self._texts[name])
        return min(max(int(digits[0]) if digits else 0, low), high)

    def json(self, name: str) -> Any:
        """Return the value of a JSON text; raises ValueError where it is not one."""
        return json.loads(self.text(name))


def read(query: str, content_type: str, body: bytes) -> Arguments:
    """Return the arguments of a request: those of the query string, then those of the body.

    Raises Refused for text that is not UTF-8; malformed JSON keeps what was read before the fault, and a
    body of another type is ignored.
    """
    try:
        return Arguments([*_urlencoded(query), *read_body(content_type, body)])
    except UnicodeError:
        raise bad_request("Strings must be encoded in UTF-8") from None


def read_body(content_type: str, body: bytes) -> Pairs:
    """Return the names and texts of a body; raises UnicodeError where it is not UTF-8."""
    kind, _, rest = content_type.partition(";")
    match kind.strip().lower():
        case "application/x-www-form-urlencoded":
            return _urlencoded(body.decode())
        case "application/json":
            return _json_members(body.decode())
        case "multipart/form-data":
            return _multipart(rest, body)
        case _:
            return []


def from_mapping(values: Mapping[str, object]) -> Arguments:
    """Return arguments as a JSON body with these members would give them."""
    return Arguments(
        (name, value if isinstance(value, str) else json.dumps(value)) for name, value in values.items()
    )


def _urlencoded(text: str) -> Pairs:
    return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=1000)


def _json_members(text: str) -> Pairs:
    """Read an object member by member: strings are unquoted, other values stay JSON text."""
    members: Pairs = []
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        return members
    try:
        while text[at] in "{,":
            name, at = _JSON.raw_decode(text, _skip(text, at + 1))
            at = _skip(text, at)
            if text[at] != ":" or not isinstance(name, str):
                break
            start = _skip(text, at + 1)
            value, at = _JSON.raw_decode(text, start)
            member = value if isinstance(value, str) else text[start:at]
            member.encode()  # a lone surrogate escape is malformed JSON to Telegram
            members.append((name, member))
            at = _skip(text, at)
    except (ValueError, IndexError, RecursionError):
        pass
    return members


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _multipart(parameters: str, body: bytes) -> Pairs:
    """Read form fields; a file's bytes are kept as Latin-1 text, since only its presence matters here."""
    boundary = re.search(r'boundary="?([^";]+)"?', parameters)
    if boundary is None:
        return []
    fields: Pairs = []
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].strip().encode())[1:]:
        if part.startswith(b"--"):
            break
        head, _, content = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if name is not None:
            is_file = b"filename=" in head.lower()
            fields.append((name[1].decode(), content.decode("latin-1" if is_file else "utf-8")))
    return fields
