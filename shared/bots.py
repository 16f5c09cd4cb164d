"""The bots of a system: TELEGRAM_BOT_TOKEN for one, or TELEGRAM_BOTS for several."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from pydantic import SecretStr, model_validator

from shared.settings import Settings
from shared.telegram import TOKEN
from shared.telemetry import register_secret

DEFAULT_BOT = "default"
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)


@dataclass(frozen=True)
class Bot:
    """A bot: its name in Carillon, its token, its webhook's secret; `id` is the token's number."""

    name: str
    token: SecretStr = field(repr=False)
    webhook_secret: SecretStr | None = field(default=None, repr=False)

    @property
    def id(self) -> int:
        """Telegram's numeric id of the bot."""
        return int(self.token.get_secret_value().partition(":")[0])


class BotSettings(Settings):
    """The settings of services that know bots."""

    telegram_bot_token: SecretStr | None = None
    telegram_webhook_secret: SecretStr | None = None
    telegram_bots: SecretStr | None = None
    telegram_api_url: str = "https://api.telegram.org"

    @model_validator(mode="after")
    def _check_bots(self) -> Self:
        self.bots()
        return self

    def bots(self) -> dict[str, Bot]:
        """Return the bots by name; raises ValueError naming the variable that is wrong."""
        if self.telegram_bots and self.telegram_bots.get_secret_value().strip():
            if self.telegram_bot_token:
                raise ValueError("TELEGRAM_BOTS and TELEGRAM_BOT_TOKEN are both set; expected one of them")
            return parse_bots(self.telegram_bots.get_secret_value())
        if not self.telegram_bot_token or not self.telegram_bot_token.get_secret_value():
            return {}
        secret = self.telegram_webhook_secret
        only = _bot(
            DEFAULT_BOT,
            self.telegram_bot_token.get_secret_value(),
            secret.get_secret_value() if secret else None,
            "TELEGRAM_BOT_TOKEN",
        )
        return {DEFAULT_BOT: only}


def parse_bots(text: str) -> dict[str, Bot]:
    """Read `{"name": {"token": …, "webhook_secret": …}}`; a bare string is a token. Raises ValueError."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = None
    if not (isinstance(found, Mapping) and found):
        raise ValueError('TELEGRAM_BOTS is not as expected: {"name": {"token": "…", "webhook_secret": "…"}}')
    bots = {}
    for name, value in found.items():
        entry = {"token": value} if isinstance(value, str) else value
        if not isinstance(entry, Mapping) or not isinstance(entry.get("token"), str):
            # Pydantic turns ValueErrors into one line for a person, and nothing else.
            raise ValueError(f"TELEGRAM_BOTS: bot '{name}' has no token")  # noqa: TRY004 - as said above
        bots[name] = _bot(name, entry["token"], entry.get("webhook_secret"), f"TELEGRAM_BOTS: bot '{name}'")
    return bots


def _bot(name: str, token: str, secret: str | None, where: str) -> Bot:
    if not TOKEN.fullmatch(token):
        raise ValueError(f"{where} is not a bot token; expected <digits>:<characters>, as BotFather gives it")
    if secret is not None and not _SECRET.fullmatch(secret):
        raise ValueError(f"the webhook secret of {where} is not 1 to 256 characters A-Z a-z 0-9 _ -")
    register_secret(token)
    if secret:
        register_secret(secret)
    return Bot(name, SecretStr(token), SecretStr(secret) if secret else None)
