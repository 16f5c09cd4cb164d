"""The secrets of a local stack: made once, kept in its folder, readable by its owner only."""

import secrets
from pathlib import Path

import orjson
from pydantic import BaseModel

from carillon.system import SERVICES
from deploy.keys import bot_token, vapid_keys


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
    private, public = vapid_keys()
    return Identity(
        bot_token=bot_token(),
        webhook_secret=secrets.token_urlsafe(32),
        vapid_private_key=private,
        vapid_public_key=public,
        link_signing_key=secrets.token_urlsafe(32),
        database_passwords={name: secrets.token_urlsafe(24) for name in SERVICES},
    )
