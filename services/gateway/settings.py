"""What gateway takes from the environment."""

import base64
import ipaddress
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from shared.bots import BotSettings
from shared.links import LinkSettings
from shared.mail import MailSettings
from shared.push import PushSettings
from shared.record.ages import AgeSettings
from shared.settings import check_url, integers

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAPPED_BITS = 96
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?", re.ASCII)


def networks(value: object) -> object:
    """Read networks from text, separated by commas; raises ValueError saying what is expected."""
    if not isinstance(value, str):
        return value
    try:
        return tuple(_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError:
        raise ValueError(
            "expected networks separated by commas, such as 149.154.160.0/20,2001:db8::/32"
        ) from None


def _network(said: str) -> Network:
    """Read a network; IPv4 that is written within IPv6 is IPv4, as addresses of clients are."""
    network = ipaddress.ip_network(said)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def origins(value: object) -> object:
    """Read origins from text, separated by commas; raises ValueError saying what is expected."""
    if not isinstance(value, str):
        return value
    found = tuple(part.strip() for part in value.split(",") if part.strip())
    if not all(_ORIGIN.fullmatch(each) for each in found):
        raise ValueError("expected origins separated by commas, such as https://app.example.com")
    return found


def _people(value: tuple[int, ...]) -> tuple[int, ...]:
    if any(not 0 < telegram_id < 2**63 for telegram_id in value):
        raise ValueError("expected Telegram ids of people, which are above 0")
    return tuple(dict.fromkeys(value))


def _public_key(value: str) -> str:
    try:
        point = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except ValueError:
        point = b""
    if value and (len(point) != 65 or point[0] != 4):
        raise ValueError("expected a P-256 public key, as 87 characters of base64url")
    return value


class GatewaySettings(BotSettings, LinkSettings, MailSettings, PushSettings, AgeSettings):
    """The settings of gateway; every bot that has a webhook needs a secret for it."""

    gateway_database_url: Annotated[str, AfterValidator(lambda url: check_url(url, "postgresql"))] = Field(
        description="a URL postgresql://role:password@host:port/database"
    )
    telegram_api_url: Annotated[str, AfterValidator(lambda url: check_url(url, "http", "https"))] = (
        "https://api.telegram.org"
    )
    listen_shared: bool = False
    """Let several processes of gateway listen on one address, on Linux: the kernel deals connections out."""
    telegram_receive: Literal["webhook", "polling"] = "webhook"
    """How updates come: Telegram calls us, or, where we have no public address, we ask Telegram."""
    telegram_ip_allowlist: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(networks)] = ()
    """Where updates may come from; empty, from anywhere."""
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(networks)] = ()
    """Whose X-Forwarded-For is believed."""
    owner_telegram_ids: Annotated[
        tuple[int, ...], NoDecode, BeforeValidator(integers), AfterValidator(_people)
    ] = ()
    api_per_second: float = Field(
        default=100.0, ge=0, le=100_000, allow_inf_nan=False, description="a number of calls, 0 for no limit"
    )
    """How often one key may be used, whichever replica it calls."""
    api_burst: int = Field(default=200, ge=1, le=1_000_000, description="a number of calls")
    """How many calls of one key may come at once after a rest."""
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(origins)] = ()
    """From which origins pages in a browser may call the API; empty, from none."""
    dashboard_url: Annotated[str, AfterValidator(lambda url: check_url(url, "http", "https"))] = (
        "http://127.0.0.1:8080"
    )
    """Where a click on a notification leads."""
    push_vapid_public_key: Annotated[str, AfterValidator(_public_key)] | None = None
    """What browsers subscribe with; with PUBLIC_URL and LINK_SIGNING_KEYS it turns the page `/push` on."""

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        for name, bot in self.bots().items():
            if bot.webhook_secret is None and self.telegram_receive == "webhook":
                several = bool(self.telegram_bots)
                where = f"TELEGRAM_BOTS: bot '{name}' has no webhook_secret"
                raise ValueError(
                    f"{where if several else 'TELEGRAM_WEBHOOK_SECRET is not set'}; "
                    "expected what setWebhook was given as secret_token"
                )
        return self
