"""What an SMTP server can do wrong, and at which moment."""

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field, model_validator

from devstack import faults

Stage = Literal["connect", "auth", "mail", "rcpt", "data_before", "data_after", "quit"]


class SmtpFault(faults.Fault):
    """A reply with `code` and `text`, a connection that drops, or `seconds` of silence, at a stage.

    `address` limits it to mails for that recipient.
    """

    stage: Stage
    kind: Literal["reply", "close", "slow"]
    code: int | None = Field(default=None, ge=400, le=599)
    text: str = Field(default="as you were told", pattern="^[ -~]*$")
    address: str | None = None
    seconds: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.kind == "reply") != (self.code is not None):
            raise ValueError("kind reply has a code, the others have none")
        if (self.kind == "slow") != (self.seconds is not None):
            raise ValueError("kind slow has seconds, the others have none")
        if self.address is not None and self.stage not in {"rcpt", "data_before", "data_after"}:
            raise ValueError("no recipient is known yet at this stage: leave address out")
        return self

    def concerns(self, stage: Stage, addresses: Iterable[str]) -> bool:
        """Say whether it is to happen at this stage of a mail to these recipients."""
        wanted = self.address
        return self.stage == stage and (wanted is None or wanted.lower() in map(str.lower, addresses))
