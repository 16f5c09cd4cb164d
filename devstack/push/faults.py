"""What a push service can do wrong."""

from typing import Literal, Self

from pydantic import Field, model_validator

from devstack import faults


class PushFault(faults.Fault):
    """A `status`, `seconds` of silence, or a connection that drops before or after the effect.

    `retry_after` (seconds) goes with a status; `subscription` limits the fault to that one.
    """

    kind: Literal["status", "slow", "reset_before", "reset_after"]
    status: int | None = Field(default=None, ge=400, le=599)
    retry_after: int | None = Field(default=None, ge=0)
    seconds: float | None = Field(default=None, gt=0)
    subscription: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.kind == "status") != (self.status is not None):
            raise ValueError("kind status has a status, the others have none")
        if (self.kind == "slow") != (self.seconds is not None):
            raise ValueError("kind slow has seconds, the others have none")
        if self.retry_after is not None and self.status is None:
            raise ValueError("retry_after goes with a status")
        return self
