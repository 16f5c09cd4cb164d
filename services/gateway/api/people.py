"""What the API takes about people: where and how they are reached."""

import re
from collections.abc import Mapping
from datetime import time
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from services.gateway.api.requests import Email, Integer, Name, Strict
from shared.events import Channel, PushSubscription, QuietHours
from shared.push import AUTH_PATTERN, P256DH_PATTERN, public_key_of, secret_of
from shared.queries import Clearable, SuppressionReason

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)


def _once_each(value: tuple[Channel, ...]) -> tuple[Channel, ...]:
    if len({*value}) < len(value):
        raise ValueError("names a channel twice")
    return value


def _written(value: object) -> object:
    if not isinstance(value, str):
        # Pydantic turns ValueErrors into words for a person, and nothing else.
        raise ValueError("expected a time, such as 22:30")  # noqa: TRY004 - as said above
    return value


Clock = Annotated[time, BeforeValidator(_written)]
Channels = Annotated[tuple[Channel, ...], AfterValidator(_once_each)]


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected a time zone, such as Europe/Madrid") from None
    return value


def _language(value: str) -> str:
    if not _LANGUAGE.fullmatch(value):
        raise ValueError("expected a language, such as en or pt-BR")
    return value


TimeZone = Annotated[str, AfterValidator(_time_zone)]
Language = Annotated[str, AfterValidator(_language)]


class QuietHoursIn(QuietHours):
    """Quiet hours; where `end` is before `start` the night lies between them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Clock
    end: Clock
    zone: TimeZone | None = None


class RecipientIn(Strict):
    """What is to change of a recipient: what is left out stays, what is null becomes empty."""

    email: Email | None = None
    telegram_chat_id: Integer | None = None
    bot: Name | None = None
    language: Language | None = None
    time_zone: TimeZone | None = None
    opted_out: bool | None = None
    muted: Channels | None = None
    channel_order: Channels | None = None
    quiet_hours: QuietHoursIn | None = None

    @property
    def cleared(self) -> tuple[str, ...]:
        """The fields that are to be empty."""
        may_be_empty = get_args(Clearable)
        return tuple(
            name for name in may_be_empty if name in self.model_fields_set and getattr(self, name) is None
        )


class TelegramIn(Strict):
    """Which Telegram user somebody is."""

    telegram_id: Annotated[int, Field(strict=True, gt=0, lt=2**63)]


class SuppressionIn(Strict):
    """An address to suppress: of e-mail, or `<bot>:<chat id>` of Telegram."""

    channel: Literal[Channel.TELEGRAM, Channel.EMAIL]
    address: Annotated[str, Field(min_length=1, max_length=320)]
    reason: SuppressionReason


class BounceIn(Strict):
    """A letter that came back, or was complained about."""

    email: Email
    kind: Literal["hard", "soft", "complaint"] = "hard"


class PushSubscriptionIn(PushSubscription):
    """A browser's subscription, flat or as `PushSubscription.toJSON()` gives it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    p256dh: Annotated[str, Field(json_schema_extra={"pattern": P256DH_PATTERN})]
    auth: Annotated[str, Field(json_schema_extra={"pattern": AUTH_PATTERN})]

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not isinstance(value.get("keys"), Mapping):
            return value
        rest = {name: each for name, each in value.items() if name not in ("keys", "expirationTime")}
        return {**rest, **value["keys"]}

    @field_validator("endpoint")
    @classmethod
    def _url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            host = parts.hostname
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https") or len(value) > 2048 or re.search(r"\s", value):
            raise ValueError("expected an https URL")
        return value

    @field_validator("p256dh")
    @classmethod
    def _key(cls, value: str) -> str:
        public_key_of(value)
        return value

    @field_validator("auth")
    @classmethod
    def _secret(cls, value: str) -> str:
        secret_of(value)
        return value
