"""Failpoints: places where a process can be told to die, to see what its death leaves behind.

Nothing happens unless one is armed, and none is outside of tests.
"""

import os
import signal
from typing import Literal

Failpoint = Literal[
    "before_claim",
    "after_claim",
    "after_call",
    "after_answer",
    "before_outcome",
    "before_ack",
    "after_expansion",
]

SchedulerFailpoint = Literal[
    "before_decided", "after_decided", "between_posts", "before_announced", "after_announced"
]

_armed: Failpoint | SchedulerFailpoint | None = None


def arm(name: Failpoint | SchedulerFailpoint | None) -> None:
    """Let the process die, as by kill -9, when it next comes to the place of that name."""
    global _armed  # noqa: PLW0603 - a process dies as a whole
    _armed = name


def passing(name: Failpoint | SchedulerFailpoint) -> None:
    """Mark a place where a process may die."""
    if _armed == name:
        os.kill(os.getpid(), signal.SIGKILL)
