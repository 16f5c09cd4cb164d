"""A chart as SVG: presses over time, and the posts that they follow, each with an axis of its own."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from shared.queries import ClicksPoint

WIDTH, HEIGHT = 960, 440
LEFT, RIGHT = 64, 936
PANELS = ((100, 284), (330, 386))
"""Top and bottom of what shows presses, and of what shows posts."""
INK, FAINT, GRID = "#1f2937", "#6b7280", "#e5e7eb"
PRESSES, PEOPLE, POSTS = "#93c5fd", "#1d4ed8", "#f59e0b"
MOST_LABELS = 12
FONT = "Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Panel:
    """A part of the chart: its name, its place, and the bars in it, one behind the other."""

    name: str
    top: float
    bottom: float
    bars: Sequence[tuple[str, Sequence[int]]]

    @property
    def ticks(self) -> list[int]:
        """The whole numbers on its axis, from 0 to at least the highest bar."""
        most = max((value for _, values in self.bars for value in values), default=0)
        step = _nice(max(1, most / (4 if self.bottom - self.top > 100 else 2)))
        return list(range(0, step * max(1, math.ceil(most / step)) + 1, step))

    def y(self, value: float) -> float:
        """Return how far down a value is."""
        return self.bottom - (self.bottom - self.top) * value / self.ticks[-1]


def draw(title: str, points: Sequence[ClicksPoint], *, by: str, time_zone: str) -> str:
    """Return an SVG document; the points' times are those of the zone."""
    panels = (
        Panel("presses", *PANELS[0], [(PRESSES, [each.clicks for each in points]),
                                      (PEOPLE, [each.unique_users for each in points])]),
        Panel("posts", *PANELS[1], [(POSTS, [each.posts for each in points])]),
    )  # fmt: skip
    span = f"{_day(points[0].start)} to {_day(points[-1].start)}" if points else "nothing yet"
    below = f"{span}, by {by}, times in {time_zone}"
    inside = [
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 34, title, size=20, weight="bold"),
        _text(LEFT, 56, below, size=13, ink=FAINT),
        *_legend(),
        *(part for panel in panels for part in _axis(panel)),
        *(part for panel in panels for part in _bars(panel)),
        *_times(points, by),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-label={quoteattr(f"{title}: {below}")} font-family="{FONT}">'
    )
    return "\n".join([head, *inside, "</svg>\n"])


def _legend() -> Iterator[str]:
    x = RIGHT - 330
    for colour, name, width in (
        (PRESSES, "presses", 84),
        (PEOPLE, "people who pressed", 160),
        (POSTS, "posts", 0),
    ):
        yield f'<rect x="{x}" y="24" width="12" height="12" fill="{colour}"/>'
        yield _text(x + 18, 35, name, size=13)
        x += width + 18


def _axis(panel: Panel) -> Iterator[str]:
    yield _text(LEFT, panel.top - 10, panel.name, size=12, ink=FAINT)
    for value in panel.ticks:
        y = panel.y(value)
        colour = INK if value == 0 else GRID
        yield f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}"/>'
        yield _text(LEFT - 8, y + 4, f"{value:,}", size=12, ink=FAINT, anchor="end")


def _bars(panel: Panel) -> Iterator[str]:
    for colour, values in panel.bars:
        width = (RIGHT - LEFT) / max(1, len(values))
        for place, value in enumerate(values):
            if value:
                y = panel.y(value)
                x = LEFT + place * width + width * 0.15
                yield (
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{width * 0.7:.1f}" '
                    f'height="{panel.bottom - y:.1f}" fill="{colour}"/>'
                )


def _times(points: Sequence[ClicksPoint], by: str) -> Iterator[str]:
    width = (RIGHT - LEFT) / max(1, len(points))
    every = max(1, math.ceil(len(points) / MOST_LABELS))
    bottom = PANELS[-1][1]
    for place, point in enumerate(points):
        if place % every:
            continue
        x = LEFT + (place + 0.5) * width
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}" stroke="{INK}"/>'
        yield _text(x, bottom + 20, f"{point.start:%d %b}", size=12, anchor="middle")
        if by == "hour":
            yield _text(x, bottom + 36, f"{point.start:%H:%M}", size=12, ink=FAINT, anchor="middle")


def _text(
    x: float, y: float, text: str, *, size: int, ink: str = INK, weight: str = "normal", anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{ink}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _day(moment: datetime) -> str:
    return f"{moment:%d %b %Y}"


def _nice(step: float) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50… that is not less."""
    power = 10 ** math.floor(math.log10(step))
    return int(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step))
