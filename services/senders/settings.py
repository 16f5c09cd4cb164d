"""What senders takes from the environment."""

import base64
from typing import Annotated, Literal, Self

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02, VapidException  # type: ignore[import-untyped]  # it ships no types
from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from shared.bots import BotSettings
from shared.failpoints import Failpoint
from shared.links import LinkSettings
from shared.mail import MailSettings, address_of
from shared.push import PushSettings
from shared.settings import check_seconds, check_url

Duration = Annotated[float, AfterValidator(check_seconds)]
Seconds = Annotated[
    tuple[Duration, ...], NoDecode, Field(description="numbers of seconds above 0, such as 1,2,4")
]
_URL = AfterValidator(lambda url: check_url(url, "http", "https"))


class SendersSettings(BotSettings, LinkSettings, MailSettings, PushSettings):
    """The settings of senders; a channel that is not set up is off, and its deliveries fall back."""

    senders_database_url: Annotated[str, AfterValidator(lambda url: check_url(url, "postgresql"))] = Field(
        description="a URL postgresql://role:password@host:port/database"
    )
    dashboard_url: Annotated[str, _URL] = "http://127.0.0.1:8080"

    telegram_timeout_seconds: float = Field(default=35.0, ge=1)
    """The server may hold a flooded send for 8 s and then deliver it: at least 30 in production."""

    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65_535)
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_from: str | None = None
    smtp_connections: int = Field(default=4, ge=1, le=100)
    """Letters handed over at once; mail servers allow a client only so many connections."""
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"

    push_vapid_private_key: SecretStr | None = None
    push_vapid_public_key: str | None = None
    push_vapid_subject: str | None = None

    send_limits: Literal["default", "ceiling", "strict", "off"] = "default"
    """Presets: 20/s (default), 30/s (ceiling) or 30/min (strict) per bot; 100 e-mails/min, strict 10/hour.

    `off` is for providers without limits; a pause that a provider asks for is kept all the same.
    """
    telegram_per_second: float | None = Field(default=None, gt=0, le=30)
    """Instead of the preset's, as are the numbers that follow."""
    telegram_private_per_second: float | None = Field(default=None, gt=0)
    telegram_group_per_minute: float | None = Field(default=None, gt=1)
    email_per_minute: float | None = Field(default=None, gt=0)
    email_domain_per_minute: float | None = Field(default=None, gt=0)

    send_lease_seconds: Duration = 90.0
    """How long a claimed send may stay unanswered; longer than any provider's time-out."""
    send_hold_seconds: Duration = 15.0
    """How long whoever works on a delivery keeps others off it."""
    send_retry_seconds: Seconds = (1.0, 2.0, 4.0)
    greylist_seconds: Seconds = (300.0, 900.0, 3600.0, 14_400.0)
    provider_down_seconds: Duration = 5.0
    provider_stopped_seconds: Duration = 60.0

    senders_failpoint: Failpoint | None = None
    """For tests: where in an attempt the process dies, once it gets there."""

    @field_validator("send_retry_seconds", "greylist_seconds", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("push_vapid_subject")
    @classmethod
    def _contact(cls, value: str | None) -> str | None:
        if value and not value.startswith(("mailto:", "https://")):
            raise ValueError("expected a mailto: or https: URL")
        return value

    @field_validator("push_vapid_private_key")
    @classmethod
    def _signs(cls, value: SecretStr | None) -> SecretStr | None:
        if value and value.get_secret_value():
            try:
                Vapid02.from_string(value.get_secret_value())
            except (VapidException, ValueError, TypeError):
                raise ValueError("expected a P-256 private key in base64url, raw or DER") from None
        return value

    @field_validator("smtp_from")
    @classmethod
    def _is_sender(cls, value: str | None) -> str | None:
        if value and not address_of(value):
            raise ValueError("expected local@domain or Name <local@domain>")
        return value

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        private, public = self.push_vapid_private_key, self.push_vapid_public_key
        if private and private.get_secret_value() and public:
            mine = Vapid02.from_string(private.get_secret_value()).public_key.public_bytes(
                Encoding.X962, PublicFormat.UncompressedPoint
            )
            # Browsers that subscribed with another key would refuse everything that is signed with ours.
            if public.rstrip("=") != base64.urlsafe_b64encode(mine).rstrip(b"=").decode():
                raise ValueError(
                    "PUSH_VAPID_PUBLIC_KEY is not that of PUSH_VAPID_PRIVATE_KEY; expected the pair that "
                    "`carillon keys vapid` prints"
                )
        return self

    @model_validator(mode="after")
    def _lease_outlasts_calls(self) -> Self:
        if self.send_lease_seconds <= self.telegram_timeout_seconds:
            raise ValueError(
                f"SEND_LEASE_SECONDS is '{self.send_lease_seconds:g}'; "
                f"expected more than TELEGRAM_TIMEOUT_SECONDS ({self.telegram_timeout_seconds:g})"
            )
        return self

    @model_validator(mode="after")
    def _channels_are_whole(self) -> Self:
        if self.smtp_host and not self.smtp_from:
            raise ValueError("SMTP_FROM is not set; expected the sender's address, since SMTP_HOST is set")
        if self.smtp_from and self.email_senders and address_of(self.smtp_from) not in self.senders():
            raise ValueError(f"SMTP_FROM is '{self.smtp_from}'; expected one of EMAIL_SENDERS")
        if self.push_vapid_private_key and not self.push_vapid_subject:
            raise ValueError(
                "PUSH_VAPID_SUBJECT is not set; "
                "expected a mailto: or https: URL, since PUSH_VAPID_PRIVATE_KEY is"
            )
        return self
