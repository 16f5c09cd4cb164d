"""The secrets of a local stack: made once, kept in its folder, readable by its owner only."""

import base64
import secrets
from pathlib import Path

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel

from carillon.system import SERVICES


class Identity(BaseModel):
    """Keys, tokens and passwords; `api_keys` are filled when the gateway's database is there."""

    bot_token: str
    webhook_secret: str
    vapid_private_key: str
    vapid_public_key: str
    link_signing_key: str
    database_passwords: dict[str, str]
    api_keys: dict[str, str] = {}


def load(folder: Path) -> Identity:
    """Read the folder's identity, or make one."""
    file = folder / "identity.json"
    if file.exists():
        return Identity.model_validate(orjson.loads(file.read_bytes()))
    identity = _make()
    save(folder, identity)
    return identity


def save(folder: Path, identity: Identity) -> None:
    """Write the identity, for its owner's eyes only."""
    write_private(folder / "identity.json", identity.model_dump())


def write_private(file: Path, value: object) -> None:
    """Write JSON that only its owner may read, all of it or nothing."""
    fresh = file.with_suffix(".new")
    fresh.touch(0o600)
    fresh.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    fresh.replace(file)


def _make() -> Identity:
    private = ec.generate_private_key(ec.SECP256R1())
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    number = private.private_numbers().private_value.to_bytes(32, "big")
    return Identity(
        bot_token=f"{7_000_000_000 + secrets.randbelow(999_999_999)}:{secrets.token_urlsafe(26)}",
        webhook_secret=secrets.token_urlsafe(32),
        vapid_private_key=_base64url(number),
        vapid_public_key=_base64url(point),
        link_signing_key=secrets.token_urlsafe(32),
        database_passwords={name: secrets.token_urlsafe(24) for name in SERVICES},
    )


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
