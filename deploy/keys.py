"""Make up keys and passwords: `python -m deploy.keys <.env.example >.env` fills in what is left empty.

The bot token that it makes up is one for a simulated Telegram; the real one comes from @BotFather.
"""

import base64
import re
import secrets
import sys
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PASSWORDS = (
    "POSTGRES_PASSWORD",
    "SCHEDULER_DATABASE_PASSWORD",
    "CLICKS_DATABASE_PASSWORD",
    "SENDERS_DATABASE_PASSWORD",
    "GATEWAY_DATABASE_PASSWORD",
)


def bot_token() -> str:
    """Make up a bot's token, as Telegram writes them."""
    return f"{7_000_000_000 + secrets.randbelow(999_999_999)}:{secrets.token_urlsafe(26)}"


def vapid_keys() -> tuple[str, str]:
    """Make a key pair of an application server: private and public, base64url."""
    private = ec.generate_private_key(ec.SECP256R1())
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return _base64url(private.private_numbers().private_value.to_bytes(32, "big")), _base64url(point)


def make() -> dict[str, str]:
    """Make up everything that an installation keeps secret, by the names of its variables."""
    private, public = vapid_keys()
    return {
        **{name: secrets.token_urlsafe(24) for name in PASSWORDS},
        "TELEGRAM_BOT_TOKEN": bot_token(),
        "LINK_SIGNING_KEYS": secrets.token_urlsafe(32),
        "TELEGRAM_WEBHOOK_SECRET": secrets.token_urlsafe(32),
        "PUSH_VAPID_PRIVATE_KEY": private,
        "PUSH_VAPID_PUBLIC_KEY": public,
    }


def fill(example: str, values: Mapping[str, str]) -> str:
    """Return the text with every line `NAME=` completed whose name has a value."""
    return re.sub(r"^(\w+)=$", lambda line: line[0] + values.get(line[1], ""), example, flags=re.MULTILINE)


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


if __name__ == "__main__":
    sys.stdout.write(fill(sys.stdin.read(), make()))
