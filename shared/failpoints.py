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

TrimFailpoint = Literal[
    "before_kept", "before_cut", "between_kept", "before_purge", "between_purges", "after_purge"
]

MendFailpoint = Literal["rebuild_fed", "rebuild_swapped", "forget_stored", "reconcile_told"]

AnyFailpoint = Failpoint | SchedulerFailpoint | TrimFailpoint | MendFailpoint

_armed: AnyFailpoint | None = None


def arm(name: AnyFailpoint | None) -> None:
    """Let the process die, as by kill -9, when it next comes to the place of that name."""
    global _armed  # noqa: PLW0603 - a process dies as a whole
    _armed = name


def passing(name: AnyFailpoint) -> None:
    """Mark a place where a process may die."""
    if _armed == name:
        os.kill(os.getpid(), signal.SIGKILL)
