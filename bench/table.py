"""The report: a section for each figure, written between the markers of a README."""

import re
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Figure, Row, Target

BEGIN, END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"


def report(name: str, figure: Figure, facts: str) -> str:
    """Return a figure as a section of Markdown that says what it is called and what it was taken on."""
    return f"<!-- {name} -->\n{_figure(figure)}\n\n*{facts}*"


def write(file: Path, section: str, order: Sequence[str]) -> None:
    """Put a section in its place between the markers of a file, and leave the others as they are.

    What no name in `order` belongs to goes. Raises ValueError where the file has no markers.
    """
    before, found, rest = file.read_text().partition(BEGIN)
    inside, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{file} has no markers to write between")
    sections = _sections(inside) | _sections(section)
    text = "\n\n".join(sections[name] for name in order if name in sections)
    file.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _sections(text: str) -> dict[str, str]:
    """Return the sections of a report, by name."""
    parts = re.split(r"^(?=<!-- \w+ -->$)", text, flags=re.MULTILINE)
    return {part.split()[1]: part.strip() for part in parts if part.startswith("<!-- ")}


def _figure(figure: Figure) -> str:
    lines = [f"### {figure.title}", "", figure.how, "", "| | median | from, to | |", "|---|---:|---:|---|"]
    lines += [_row(each) for each in figure.rows]
    if figure.targets:
        lines += ["", "| against | promised | reached | from, to | |", "|---|---:|---:|---:|---|"]
        lines += [_target(each) for each in figure.targets]
    lines += _missed(figure.targets)
    return "\n".join(lines)


def _row(row: Row) -> str:
    return f"| {row.what} | {_number(row.median)} {row.unit} | {_range(row.values)} | {row.more} |"


def _target(target: Target) -> str:
    sign, verdict = "≤" if target.at_most else "≥", "kept" if target.is_met else "**missed**"
    return (
        f"| {target.what} | {sign} {target.bound:g} | {_number(target.median)} | {_range(target.values)} "
        f"| {verdict} |"
    )


def _missed(targets: Sequence[Target]) -> list[str]:
    """Say of every reason once what is missed for it."""
    missed = [each for each in targets if not each.is_met]
    return [
        f"\n**Missed: {', '.join(each.what for each in missed if each.why == why)}.** {why}"
        for why in dict.fromkeys(each.why for each in missed)
    ]


def _range(values: Sequence[float]) -> str:
    return f"{_number(min(values))}, {_number(max(values))}" if len(values) > 1 else ""


def _number(value: float) -> str:
    """Write a number as precisely as it is known: three figures."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
