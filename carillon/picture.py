"""A picture of a Telegram message (SVG), drawn from the entities that Telegram's own parser finds."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from shared.markdown import Formatted

WIDTH, PADDING, SIZE, LEADING, BUTTON = 460, 16, 16, 23, 42
SANS = "Roboto, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
MONO = "'Roboto Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
NARROW, WIDE = frozenset("iljtfrI.,:;|!'()[] "), frozenset("mwMW@%")
STYLES = {
    "bold": "font-weight:700",
    "italic": "font-style:italic",
    "underline": "text-decoration:underline",
    "strikethrough": "text-decoration:line-through",
    "spoiler": "fill:#8d99a6",
    "code": f"font-family:{MONO};fill:#0f4c94;font-size:15px",
    "pre": f"font-family:{MONO};fill:#0f4c94;font-size:15px",
    "blockquote": "fill:#3f6f4f",
    "expandable_blockquote": "fill:#3f6f4f",
}
LINKS = frozenset(
    {"text_link", "text_mention", "url", "email", "mention", "hashtag", "cashtag", "bot_command"}
)


@dataclass(frozen=True)
class Glyph:
    """A character with what it looks like."""

    text: str
    kinds: frozenset[str]

    @property
    def width(self) -> float:
        """About how wide it is, in pixels: enough to know where a line ends."""
        if unicodedata.combining(self.text) or unicodedata.category(self.text) in ("Cf", "Mn"):
            return 0.0
        if self.kinds & {"code", "pre"}:
            return 9.2
        if unicodedata.east_asian_width(self.text) in "WF" or unicodedata.category(self.text) == "So":
            return 21.0
        # As wide as in the widest of the fonts that are taken: what fits there fits everywhere.
        narrow, wide, capital = self.text in NARROW, self.text in WIDE, self.text.isupper()
        plain = 6.0 if narrow else 15.8 if wide else 11.6 if capital else 10.1
        return plain * (1.12 if "bold" in self.kinds else 1.0)


def draw(message: Formatted, buttons: Sequence[Sequence[str]] = ()) -> str:
    """Return the SVG of a message, with rows of buttons below it."""
    lines = list(_lines(_glyphs(message)))
    bubble = 2 * PADDING + LEADING * len(lines)
    height = bubble + 24 + (BUTTON + 6) * len(buttons)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img">',
        f'<rect width="{WIDTH}" height="{height}" fill="#d5e3ee"/>',
        f'<rect x="12" y="12" width="{WIDTH - 24}" height="{bubble}" rx="14" fill="#ffffff"/>',
    ]
    for number, line in enumerate(lines):
        baseline = 12 + PADDING + LEADING * number + SIZE
        spans = "".join(_span(kinds, "".join(each.text for each in same)) for kinds, same in _runs(line))
        parts.append(
            f'<text x="{12 + PADDING}" y="{baseline}" xml:space="preserve" fill="#101820" '
            f'font-family={quoteattr(SANS)} font-size="{SIZE}">{spans}</text>'
        )
    parts += _keyboard(buttons, bubble + 18)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _glyphs(message: Formatted) -> Iterator[Glyph]:
    at = 0
    for letter in message.text:
        kinds = {each.type for each in message.entities if each.offset <= at < each.end}
        yield Glyph(letter, frozenset(kinds))
        at += 2 if ord(letter) > 0xFFFF else 1


def _lines(glyphs: Iterator[Glyph]) -> Iterator[list[Glyph]]:
    """Yield lines that fit, broken behind spaces where that is possible."""
    room = WIDTH - 24 - 2 * PADDING
    line: list[Glyph] = []
    for glyph in glyphs:
        if glyph.text == "\n":
            yield line
            line = []
            continue
        line.append(glyph)
        if sum(each.width for each in line) > room:
            spaces = [at for at, each in enumerate(line) if each.text == " " and at]
            end = spaces[-1] + 1 if spaces else len(line) - 1
            yield line[:end]
            line = line[end:]
    yield line


def _runs(line: list[Glyph]) -> Iterator[tuple[frozenset[str], Iterator[Glyph]]]:
    yield from groupby(line, key=lambda glyph: glyph.kinds)


def _span(kinds: frozenset[str], text: str) -> str:
    styles = [STYLES[kind] for kind in sorted(kinds) if kind in STYLES]
    if kinds & LINKS:
        styles.append("fill:#168acd")
    return f"<tspan style={quoteattr(';'.join(styles))}>{escape(text)}</tspan>" if styles else escape(text)


def _keyboard(buttons: Sequence[Sequence[str]], top: float) -> Iterator[str]:
    for number, row in enumerate(buttons):
        wide = (WIDTH - 24 - 6 * (len(row) - 1)) / len(row)
        for place, label in enumerate(row):
            left, y = 12 + place * (wide + 6), top + number * (BUTTON + 6)
            yield f'<rect x="{left:g}" y="{y:g}" width="{wide:g}" height="{BUTTON}" rx="10" fill="#6f93ad"/>'
            yield (
                f'<text x="{left + wide / 2:g}" y="{y + 27:g}" text-anchor="middle" fill="#ffffff" '
                f'font-family={quoteattr(SANS)} font-size="15" font-weight="600">{escape(label)}</text>'
            )
