"""What scheduler takes from the environment."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from shared.failpoints import SchedulerFailpoint
from shared.settings import Settings, check_url, integers

BIGGEST_CHAT_ID = 2**63 - 1


def _chats(value: tuple[int, ...]) -> tuple[int, ...]:
    if any(abs(chat_id) > BIGGEST_CHAT_ID or chat_id == 0 for chat_id in value):
        raise ValueError("expected chat ids of 64 bits, none of them 0")
    return tuple(dict.fromkeys(value))


class SchedulerSettings(Settings):
    """The settings of scheduler; those of promos hold until somebody edits the default schedule."""

    scheduler_database_url: Annotated[str, AfterValidator(lambda url: check_url(url, "postgresql"))] = Field(
        description="a URL postgresql://role:password@host:port/database"
    )
    promo_interval_hours: float = Field(
        default=4.0, ge=1 / 3600, le=87_600, allow_inf_nan=False,
        description="a number of hours above 0 (at least a second, at most ten years)",
    )  # fmt: skip
    promo_chat_ids: Annotated[
        tuple[int, ...], NoDecode, BeforeValidator(integers), AfterValidator(_chats)
    ] = ()
    """Where promos are posted; empty, nothing is."""
    promo_bot: str = Field(default="default", min_length=1, description="the name of a bot")
    promo_validity_seconds: float = Field(
        default=3600.0, gt=0, le=315_360_000, allow_inf_nan=False, description="a number of seconds above 0"
    )
    """For how long a slot may still be posted when it is late."""
    scheduler_failpoint: SchedulerFailpoint | None = None
    """For tests: where between a slot and its posts the process dies, once it gets there."""
