"""What a life is made of: steps, each with its time, its service and what it followed from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Step:
    """One thing that happened; `parent` is the key of what it followed from, if that is known.

    `details` are ids and bounded words: no address, and nothing that anybody wrote.
    """

    key: str
    at: datetime
    service: str
    what: str
    parent: str | None = None
    attempt: int | None = None
    trace_id: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class Node:
    """A step and what followed from it, oldest first."""

    step: Step
    followed: list["Node"] = field(default_factory=list)

    def view(self) -> dict[str, Any]:
        """Return the node as JSON has it."""
        step = self.step
        shown = {
            "at": step.at, "service": step.service, "what": step.what, "key": step.key,
            "attempt": step.attempt, "trace_id": step.trace_id,
        }  # fmt: skip
        return {**shown, **_given(step.details), "followed": [each.view() for each in self.followed]}


def grown(steps: Iterable[Step]) -> list[Node]:
    """Return the steps as trees, oldest first; what followed from something unknown is a root."""
    nodes = {step.key: Node(step) for step in sorted(steps, key=lambda step: (step.at, step.key))}
    roots: list[Node] = []
    for node in nodes.values():
        parent = nodes.get(node.step.parent or "")
        (roots if parent is None or parent is node else parent.followed).append(node)
    return roots


def _given(details: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in details.items() if value is not None}
