"""Our own count of attempts: `num_delivered` rises for innocents when a broker or a neighbour restarts."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Begun:
    """What was known when an attempt began: earlier starts, and how many of them ended in a failure.

    A start that neither failed nor succeeded took its process with it: `crashes`.
    """

    starts: int
    failures: int

    @property
    def crashes(self) -> int:
        """Earlier starts that never ended."""
        return max(0, self.starts - self.failures)


class AttemptsRecord(Protocol):
    """Where a service keeps its attempts; `key` names an event (and its replay) within a durable."""

    async def begin(self, durable: str, key: str) -> Begun:
        """Write down that an attempt starts; return what was known before."""
        ...

    async def fail(self, durable: str, key: str, error: str) -> int:
        """Write down that an attempt failed (`error` is a class name); return how many have."""
        ...

    async def undo(self, durable: str, key: str) -> None:
        """Take back a start that was cut short by an outage."""
        ...

    async def forget(self, durable: str, key: str) -> None:
        """Drop the record of an event that is done."""
        ...

    async def reachable(self) -> bool:
        """Say whether the record, and with it the service's database, can be reached."""
        ...
