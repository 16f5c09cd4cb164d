"""What a measurement says: its rows, and how they stand to its targets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, and its values, one for each round."""

    what: str
    unit: str
    values: Sequence[float]
    more: str = ""
    """What else there is to say, such as latencies."""

    @property
    def median(self) -> float:
        """The value to quote."""
        return median(self.values)


@dataclass(frozen=True)
class Target:
    """What was promised: `values` are to be at least, or at most, `bound` at their median."""

    what: str
    values: Sequence[float]
    bound: float
    at_most: bool = False
    why: str = ""
    """What keeps it from more, said where it is missed."""

    @property
    def median(self) -> float:
        """The value to judge."""
        return median(self.values)

    @property
    def is_met(self) -> bool:
        """Whether the promise is kept."""
        return self.median <= self.bound if self.at_most else self.median >= self.bound


@dataclass(frozen=True)
class Figure:
    """A measurement that is done: its title, how it was taken, its rows and its targets."""

    title: str
    how: str
    rows: Sequence[Row]
    targets: Sequence[Target] = field(default=())


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return ours to theirs, round by round: what disturbs a round disturbs both."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]
