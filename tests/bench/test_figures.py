"""The report of measurements says what was reached, and plainly what was not."""

from pathlib import Path

import pytest

from bench.figures import Figure, Row, Target, ratios
from bench.table import BEGIN, END, report, write

NAMED = (("one", "First"), ("two", "Second"), ("two", "Second, anew"))


def test_ratios_are_taken_round_by_round() -> None:
    """A slow round is slow for both sides: the ratio does not see it."""
    assert ratios([100.0, 10.0, 120.0], [50.0, 5.0, 60.0]) == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("values", "at_most", "met"),
    [([3.1, 2.9, 9.0], False, True), ([2.9, 2.8, 9.0], False, False), ([2.9, 2.8, 9.0], True, True)],
)
def test_the_median_is_judged(values: list[float], at_most: bool, met: bool) -> None:
    """One lucky round keeps no promise, and one unlucky round breaks none."""
    assert Target("of a rival", values, 3.0, at_most).is_met is met


def test_a_missed_target_is_said_with_its_reason() -> None:
    """Whoever reads the table learns what is missed, by how much, and why."""
    rows = [Row("ours", "1/s", [1_000.0, 1_200.0, 1_100.0]), Row("theirs", "1/s", [500.0])]
    kept, missed = Target("of one", [2.2], 2.0, why="unused"), Target("of two", [1.5], 2.0, why="It is slow.")
    too = Target("of three", [1.0], 2.0, why="It is slow.")
    text = report("things", Figure("Things", "As it is.", rows, [kept, missed, too]), "Some machine.")

    assert "| ours | 1,100 1/s | 1,000, 1,200 |  |" in text
    assert "| of one | ≥ 2 | 2.2 |  | kept |" in text
    assert "| of two | ≥ 2 | 1.5 |  | **missed** |" in text
    assert "**Missed: of two, of three.** It is slow." in text
    assert "unused" not in text


def test_a_section_is_put_in_its_place(tmp_path: Path) -> None:
    """Writing again replaces the section of that name, and nothing else; all stand in their order."""
    file = tmp_path / "README.md"
    file.write_text(f"# Title\n\n{BEGIN}\n\nold words\n\n{END}\n\nThe end.\n")
    one, two, anew = (report(name, Figure(title, "", []), "Facts.") for name, title in NAMED)
    for section in (two, one, anew):
        write(file, section, ["one", "two"])

    assert file.read_text() == f"# Title\n\n{BEGIN}\n\n{one}\n\n{anew}\n\n{END}\n\nThe end.\n"


def test_a_file_without_markers_is_left_alone(tmp_path: Path) -> None:
    """A table that has no place is an error, not an overwritten file."""
    file = tmp_path / "README.md"
    file.write_text("# Title\n")
    with pytest.raises(ValueError, match="no markers"):
        write(file, "<!-- one -->\nnew", ["one"])
    assert file.read_text() == "# Title\n"
