"""For how long events stay in the streams."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from shared.settings import Settings
from shared.topology import TRIMMED

UPDATES = "UPDATES"


def _empty_is_never(value: object) -> object:
    return 0 if isinstance(value, str) and not value.strip() else value


@dataclass(frozen=True)
class Ages:
    """After how many days events may go, None where never; those with people's words by their own age."""

    days: float | None
    update_text_days: float | None

    def limits(self, now: datetime) -> dict[str, datetime]:
        """Return the moment before which events may go, for each stream that is trimmed by age at all."""
        found = {}
        for stream in TRIMMED:
            ages = [self.days] + ([self.update_text_days] if stream == UPDATES else [])
            known = [age for age in ages if age is not None]
            if known:
                found[stream] = now - timedelta(days=min(known))
        return found


class AgeSettings(Settings):
    """How old what is kept may become."""

    stream_days: Annotated[float, BeforeValidator(_empty_is_never)] = Field(
        default=30.0,
        ge=0,
        le=36_500,
        allow_inf_nan=False,
        description="a number of days, 0 to keep all events",
    )
    """For how long events stay in the streams, at least."""
    update_text_days: float = Field(
        default=30.0, ge=0, le=36_500, allow_inf_nan=False, description="a number of days, 0 to keep no text"
    )
    """For how long the update log and its stream keep what people wrote."""

    def ages(self) -> Ages:
        """Return after how many days events may go."""
        return Ages(self.stream_days or None, self.update_text_days)
