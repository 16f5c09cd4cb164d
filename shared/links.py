"""Links that prove that we made them: signed, bound to one purpose, perhaps with an end.

A token is `1.<payload>.<signature>`: JSON in base64url, and HMAC-SHA256 over version, purpose and payload.
What it says can be read by whoever has it, so addresses and texts stay out of it; nobody can change it, or
use it for something else. The first of the keys signs, all of them verify: a new one goes in front, and the
old one stays until the links that it signed are no longer of use.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

import orjson
from pydantic import AfterValidator, Field, JsonValue, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from shared.ids import from_short, to_short
from shared.settings import Settings, check_url

VERSION = "1"
SHORTEST_KEY = 32
LONGEST_TOKEN = 8192
_KEY = re.compile(rf"[!-~]{{{SHORTEST_KEY},512}}", re.ASCII)
_END = "until"


class Purpose(StrEnum):
    """What a link is for; a token of one is none of another."""

    UNSUBSCRIBE = "unsubscribe"
    REDIRECT = "redirect"
    PUSH = "push"


class BadLink(ValueError):
    """A token that we did not sign for this purpose, or whose time is over."""


class Links:
    """Signs and verifies with keys of at least 32 characters; raises ValueError where there is none."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys or any(len(key) < SHORTEST_KEY for key in keys):
            raise ValueError(f"links are signed with keys of at least {SHORTEST_KEY} characters")
        self._keys = [key.encode() for key in keys]

    def sign(self, purpose: Purpose, said: Mapping[str, JsonValue], *, until: datetime | None = None) -> str:
        """Return the token that says `said` (JSON); with `until` it is good up to then, by the second.

        The same words give the same token, as long as the first key stays.
        """
        if _END in said:
            raise ValueError(f"'{_END}' is the token's own word")
        ending = {} if until is None else {_END: int(until.timestamp())}
        payload = _base64url(orjson.dumps({**said, **ending}, option=orjson.OPT_SORT_KEYS))
        return f"{VERSION}.{payload}.{_signature(self._keys[0], purpose, payload)}"

    def read(self, purpose: Purpose, token: str, now: datetime) -> dict[str, JsonValue]:
        """Return what a token says; raises BadLink, without saying what is wrong with it."""
        version, _, rest = token.partition(".")
        payload, _, signature = rest.partition(".")
        if version != VERSION or not token.isascii() or len(token) > LONGEST_TOKEN:
            raise BadLink("no link of ours")
        # All keys are tried, whichever fits: how long it takes tells nothing.
        fits = [hmac.compare_digest(_signature(key, purpose, payload), signature) for key in self._keys]
        if not any(fits):
            raise BadLink("no link of ours")
        said: dict[str, JsonValue] = orjson.loads(_decoded(payload))
        until = said.pop(_END, None)
        if isinstance(until, int) and now.timestamp() > until:
            raise BadLink("a link whose time is over")
        return said


class LinkSettings(Settings):
    """The settings of services that sign links or follow them."""

    public_url: Annotated[str, AfterValidator(lambda url: check_url(url, "http", "https"))] | None = Field(
        default=None, description="the URL that the gateway is reached at from outside"
    )
    """Where the gateway is reached from outside: links in letters begin with it."""
    link_signing_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """The first signs, all verify; separated by commas."""

    @field_validator("link_signing_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("link_signing_keys")
    @classmethod
    def _are_long(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(_KEY.fullmatch(key.get_secret_value()) for key in value):
            raise ValueError(
                f"expected keys of at least {SHORTEST_KEY} visible ASCII characters, separated by commas"
            )
        return value

    @model_validator(mode="after")
    def _keys_for_links(self) -> Self:
        if self.public_url and not self.link_signing_keys:
            raise ValueError(
                "LINK_SIGNING_KEYS is not set; expected a key to sign links with, since PUBLIC_URL is set"
            )
        return self

    def links(self) -> Links | None:
        """Return what signs and verifies, or None where no key is set."""
        keys = [key.get_secret_value() for key in self.link_signing_keys]
        return Links(keys) if keys else None


def unsubscribe_url(links: Links, public_url: str, delivery_id: UUID) -> str:
    """Return the link by which whom a delivery went to takes leave of campaigns: always the same."""
    token = links.sign(Purpose.UNSUBSCRIBE, {"delivery": to_short(delivery_id)})
    return f"{public_url.rstrip('/')}/u/{token}"


def unsubscribed_delivery(links: Links, token: str, now: datetime) -> UUID:
    """Return the delivery that an unsubscribe link came with; raises BadLink."""
    try:
        return from_short(str(links.read(Purpose.UNSUBSCRIBE, token, now)["delivery"]))
    except (KeyError, ValueError):
        raise BadLink("no link of ours") from None


def _signature(key: bytes, purpose: Purpose, payload: str) -> str:
    message = "\x00".join(("carillon link", VERSION, purpose, payload))
    return _base64url(hmac.digest(key, message.encode(), "sha256"))


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decoded(payload: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    except binascii.Error:
        raise BadLink("no link of ours") from None
