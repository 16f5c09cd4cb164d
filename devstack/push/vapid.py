"""How a push service knows an application server: VAPID (RFC 8292)."""

import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from devstack.push import base64url, encryption

DAY_SECONDS = 86_400


class Unauthorized(Exception):
    """A push without credentials that can be read (401), or with some that do not hold (403)."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def check(authorization: str, origin: str, now: float) -> str:
    """Return the application server's key (base64url) of an `Authorization` header that holds.

    Raises `Unauthorized` otherwise; `now` is a Unix time.
    """
    token, key = _read(authorization)
    _check_signature(token, key)
    _check_claims(_claims(token), origin, now)
    return key


def _read(authorization: str) -> tuple[str, str]:
    scheme, _, rest = authorization.partition(" ")
    named = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if scheme.lower() != "vapid" or not named.get("t") or not named.get("k"):
        raise Unauthorized(401, "Authorization is not `vapid t=…, k=…`")
    return named["t"], named["k"]


def _check_signature(token: str, key: str) -> None:
    signed, _, signature = token.rpartition(".")
    try:
        header = json.loads(base64url.decode(signed.partition(".")[0]))
        raw, public = base64url.decode(signature), encryption.public_key(base64url.decode(key))
    except ValueError as error:
        raise Unauthorized(401, "the token or the key cannot be read") from error
    if not isinstance(header, dict) or header.get("alg") != "ES256" or len(raw) != 64:
        raise Unauthorized(401, "the token is not signed with ES256")
    encoded = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    try:
        public.verify(encoded, signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Unauthorized(403, "the token's signature does not hold") from error


def _claims(token: str) -> dict[str, object]:
    try:
        claims = json.loads(base64url.decode(token.split(".")[1]))
    except ValueError as error:
        raise Unauthorized(401, "the token's claims cannot be read") from error
    if not isinstance(claims, dict):
        raise Unauthorized(401, "the token's claims are not an object")
    return claims


def _check_claims(claims: dict[str, object], origin: str, now: float) -> None:
    expiry, contact = claims.get("exp"), claims.get("sub")
    if claims.get("aud") != origin:
        raise Unauthorized(403, "aud is not the origin of this push service")
    if not isinstance(expiry, int | float) or isinstance(expiry, bool):
        raise Unauthorized(403, "exp is missing")
    if expiry <= now:
        raise Unauthorized(403, "the token has expired")
    if expiry > now + DAY_SECONDS:
        raise Unauthorized(403, "exp is more than 24 hours away")
    if not isinstance(contact, str) or not contact.startswith(("mailto:", "https:")):
        raise Unauthorized(403, "sub is neither a mailto: nor an https: URL")
