"""Push subscriptions: whom senders may post to, and keys that can be some; both are what a browser names."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from shared.settings import Settings

PUSH_SERVICES = (
    "fcm.googleapis.com", "*.push.services.mozilla.com", "*.push.apple.com", "*.notify.windows.com",
)  # fmt: skip
"""Whom the browsers of today push through."""

P256DH_PATTERN = r"^B[A-P][A-Za-z0-9_-]{85}=?$"
"""65 bytes in base64url, of which the first is 4: a point of P-256, uncompressed."""
AUTH_PATTERN = r"^[A-Za-z0-9_-]{22}(==)?$"
"""16 bytes in base64url."""


def public_key_of(p256dh: str) -> bytes:
    """Return a browser's public key (RFC 8291), 65 bytes; raises ValueError for what cannot be one."""
    if not re.fullmatch(P256DH_PATTERN, p256dh):
        raise ValueError("expected 65 bytes in base64url, a point of P-256 that is not compressed")
    point = _decoded(p256dh)
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise ValueError("is no point of P-256") from None
    return point


def secret_of(auth: str) -> bytes:
    """Return a browser's authentication secret, 16 bytes; raises ValueError for what cannot be one."""
    if not re.fullmatch(AUTH_PATTERN, auth):
        raise ValueError("expected 16 bytes in base64url")
    return _decoded(auth)


def _decoded(text: str) -> bytes:
    bare = text.rstrip("=")
    return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


@dataclass(frozen=True)
class PushServices:
    """The push services that are known: `hosts`, where `*.` stands for all below.

    `http_hosts` are simulated ones, which may be reached without TLS.
    """

    hosts: Sequence[str] = PUSH_SERVICES
    http_hosts: Sequence[str] = ()

    def know(self, endpoint: str) -> bool:
        """Say whether an endpoint is of one of them: nothing else is posted to from inside."""
        try:
            parts = urlsplit(endpoint)
            host = parts.hostname or ""
        except ValueError:
            return False
        if parts.username is not None or parts.password is not None:
            return False
        if host in self.http_hosts:
            return parts.scheme in ("http", "https")
        return parts.scheme == "https" and any(
            host.endswith(each[1:]) if each.startswith("*.") else host == each for each in self.hosts
        )


class PushSettings(Settings):
    """The settings of services that take subscriptions."""

    push_services: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = ()
    """Hosts of push services that may be named beside the well-known ones; `*.` stands for all below."""
    push_http_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = ()
    """Hosts of push services that may be reached without TLS: simulated ones only."""

    def known_push_services(self) -> PushServices:
        """Return the push services that are known here."""
        return PushServices((*PUSH_SERVICES, *self.push_services), self.push_http_hosts)
