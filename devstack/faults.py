"""Faults on demand: a simulator is told how to be difficult, how often, and to whom."""

from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

F = TypeVar("F", bound="Fault")


class Fault(BaseModel):
    """A way to be difficult, `times` times (null: until it is withdrawn)."""

    model_config = ConfigDict(extra="forbid")

    times: int | None = Field(default=1, ge=1)


class Faults(Generic[F]):
    """The faults in force; the first that matches happens, so the order of asking for them counts."""

    def __init__(self) -> None:
        self._waiting: list[F] = []
        self.happened = 0

    def add(self, fault: F) -> None:
        """Put a fault in force, behind the others."""
        self._waiting.append(fault)

    def clear(self) -> None:
        """Withdraw every fault."""
        self._waiting.clear()

    def listing(self) -> list[dict[str, object]]:
        """Return the faults still to happen, with how often each is."""
        return [fault.model_dump() for fault in self._waiting]

    def take(self, matches: Callable[[F], bool]) -> F | None:
        """Return the first fault that matches, once of its times used up, or None."""
        for fault in self._waiting:
            if not matches(fault):
                continue
            self.happened += 1
            if fault.times is not None:
                fault.times -= 1
                self._waiting = [each for each in self._waiting if each.times != 0]
            return fault
        return None
