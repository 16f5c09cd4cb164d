"""What the API answers where it is not another service's answer as it is."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from shared.queries import PromoView, ScheduleView


class Accepted(BaseModel):
    """A message that is in the stream, on disk."""

    id: UUID
    status: Literal["accepted"] = "accepted"


class AcceptedMessages(BaseModel):
    """A batch that is in the stream, on disk, in its order."""

    messages: tuple[Accepted, ...]


class TrialOutcome(BaseModel):
    """What became of a test message within five seconds; `queued` when it is not known yet."""

    status: Literal["sent", "failed", "rate_limited", "no_subscription", "queued"]
    message_id: UUID
    delivery_time_ms: int | None
    error: str | None


class Status(BaseModel):
    """The state of the whole; `missing` names what this service lacks."""

    ready: bool
    missing: tuple[str, ...]
    schedules: tuple[ScheduleView, ...]
    promos: tuple[PromoView, ...]
