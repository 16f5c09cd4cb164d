"""Lists in files: lines as they come in pieces, and the entries that they hold."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

LONGEST_LINE = 64 * 1024
_DELIMITERS = (",", ";", "\t")
_ADDRESSES = ("user_id", "telegram_chat_id", "email")
MOST_LINES_OF_AN_ENTRY = 50


class Unreadable(Exception):
    """A line does not hold an entry; the text says why, without what stands on it."""


class NoHead(Exception):
    """A file does not begin with a head that says what stands in its columns."""


Found = tuple[int, Mapping[str, Any] | Unreadable]
"""The number of the line on which an entry begins, and the entry, or why there is none."""


@dataclass(frozen=True)
class Line:
    """A line of a file, counted from 1; `data` is None when it is longer than a line may be."""

    number: int
    data: bytes | None

    def text(self) -> str:
        """Return the line as text; raises Unreadable."""
        if self.data is None:
            raise Unreadable(f"is longer than {LONGEST_LINE} bytes")
        try:
            return self.data.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise Unreadable("is not UTF-8") from None


@dataclass
class Lines:
    """Divides what comes in pieces into lines; never holds more than the longest line and a piece."""

    number: int = 0
    rest: bytes = b""
    is_too_long: bool = False

    def feed(self, piece: bytes) -> Iterator[Line]:
        """Take a piece; yield the lines that end in it."""
        *whole, rest = (self.rest + piece).split(b"\n")
        for data in whole:
            yield self._line(data)
        self.rest = rest
        if len(rest) > LONGEST_LINE:
            self.rest, self.is_too_long = b"", True

    def end(self) -> Iterator[Line]:
        """Yield the last line, if it does not end with the file's last newline."""
        if self.rest or self.is_too_long:
            yield self._line(self.rest)

    def _line(self, data: bytes) -> Line:
        self.number += 1
        is_too_long, self.is_too_long = self.is_too_long or len(data) > LONGEST_LINE, False
        return Line(self.number, None if is_too_long else data.removesuffix(b"\r"))


class JsonEntries:
    """Reads NDJSON: an entry a line, as the API takes it."""

    def read(self, line: Line) -> Iterator[Found]:
        """Yield what stands on a line; a blank one holds nothing."""
        try:
            text = line.text()
            if text.strip():
                yield line.number, _object(text)
        except Unreadable as problem:
            yield line.number, problem

    def end(self) -> Iterator[Found]:
        """Yield what the end of the file leaves unfinished: nothing."""
        return iter(())


@dataclass
class CsvEntries:
    """Reads CSV (RFC 4180): a head that names the columns, then an entry a record.

    The columns user_id, telegram_chat_id and email say to whom; any other is a variable of that name. A field
    in quotes may go on for some lines. What cannot be read costs its first line only.
    """

    columns: list[str] = field(default_factory=list)
    delimiter: str = ","
    begun: list[Line] = field(default_factory=list)
    size: int = 0
    is_quoted: bool = False

    def read(self, line: Line) -> Iterator[Found]:
        """Yield what ends with a line; raises NoHead."""
        try:
            text = line.text()
        except Unreadable as problem:
            yield from self.end()
            yield line.number, problem
            return
        self.begun.append(line)
        self.size += len(text)
        # Quotes within a field are doubled: while their number is odd, the field goes on.
        self.is_quoted ^= bool(text.count('"') % 2)
        if not self.is_quoted:
            yield from self._finish()
        elif self.size > LONGEST_LINE or len(self.begun) > MOST_LINES_OF_AN_ENTRY:
            yield from self._give_up(Unreadable("opens a quote that is not closed"))

    def end(self) -> Iterator[Found]:
        """Yield what the end of the file leaves unfinished."""
        while self.begun:
            yield from self._give_up(Unreadable("opens a quote that is not closed"))

    def _finish(self) -> Iterator[Found]:
        record = "\n".join(line.text() for line in self.begun)
        number = self.begun[0].number
        if not record.strip():
            self._forget()
            return
        try:
            entry = self._entry(record)
        except Unreadable as problem:
            yield from self._give_up(problem)
            return
        self._forget()
        if entry is not None:
            yield number, entry

    def _give_up(self, problem: Unreadable) -> Iterator[Found]:
        """Leave out the line at which the unfinished entry begins, and read those behind it again."""
        first, *others = self.begun
        self._forget()
        yield first.number, problem
        for line in others:
            yield from self.read(line)

    def _forget(self) -> None:
        self.begun, self.size, self.is_quoted = [], 0, False

    def _entry(self, record: str) -> Mapping[str, Any] | None:
        if not self.columns:
            self._take_head(record)
            return None
        cells = _cells(record, self.delimiter)
        if len(cells) != len(self.columns):
            raise Unreadable(f"has {len(cells)} cells where the head has {len(self.columns)}")
        given = dict(zip(self.columns, cells, strict=True))
        address: dict[str, Any] = {name: given[name] for name in _ADDRESSES[1:] if given.get(name)}
        if "telegram_chat_id" in address:
            address["telegram_chat_id"] = _integer(address["telegram_chat_id"])
        return {
            "user_id": given.get("user_id") or None,
            "address": address or None,
            "variables": {name: cell for name, cell in given.items() if name not in _ADDRESSES},
        }

    def _take_head(self, record: str) -> None:
        self.delimiter = max(_DELIMITERS, key=record.count)
        try:
            columns = [cell.strip() for cell in _cells(record, self.delimiter)]
        except Unreadable:
            columns = []
        if not set(columns) & set(_ADDRESSES):
            raise NoHead("the first line names none of the columns user_id, telegram_chat_id and email")
        if len(set(columns)) != len(columns) or "" in columns:
            raise NoHead("the first line names a column twice, or leaves one without a name")
        self.columns = columns


Entries = JsonEntries | CsvEntries


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Unreadable("is not JSON") from None
    if not isinstance(value, dict):
        raise Unreadable("is not a JSON object")
    return value


def _cells(record: str, delimiter: str) -> list[str]:
    try:
        (cells,) = csv.reader([record], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError):
        raise Unreadable("is not CSV") from None
    return cells


def _integer(cell: str) -> int:
    try:
        return int(cell)
    except ValueError:
        raise Unreadable("telegram_chat_id: expected an integer") from None
