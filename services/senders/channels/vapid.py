"""Who we are to push services: a token per origin, signed with our VAPID key (RFC 8292)."""

import base64
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02, VapidException  # type: ignore[import-untyped]  # it ships no types

_LASTS = timedelta(hours=12)
_RENEWED_BEFORE = timedelta(hours=1)
_ORIGINS_KEPT = 256


class VapidTokens:
    """Signs tokens with a private key (base64url, raw or DER) and keeps each for its origin.

    `subject` is where a push service finds us: a `mailto:` or `https:` URL. Raises ValueError for a key
    or a subject that cannot be used.
    """

    def __init__(self, private_key: str, subject: str) -> None:
        self._subject = subject
        self._kept: dict[str, tuple[datetime, str]] = {}
        try:
            self._vapid = Vapid02.from_string(private_key)
            # The library checks a subject when it signs, which is too late to find out.
            self._vapid.sign({"aud": "https://example.org", "sub": subject})
        except (VapidException, ValueError) as error:
            raise ValueError("the VAPID key or its subject cannot be used") from error

    @property
    def public_key(self) -> str:
        """The application server key that browsers subscribe with (base64url, uncompressed point)."""
        point = self._vapid.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return base64.urlsafe_b64encode(point).rstrip(b"=").decode()

    def authorization(self, origin: str, now: datetime) -> str:
        """Return the `Authorization` header for an origin (`https://host[:port]`)."""
        expires, header = self._kept.get(origin, (now, ""))
        if expires - now < _RENEWED_BEFORE:
            expires = now + _LASTS
            claims = {"aud": origin, "exp": int(expires.timestamp()), "sub": self._subject}
            header = self._vapid.sign(claims)["Authorization"]
            if len(self._kept) >= _ORIGINS_KEPT:
                self._kept.clear()
            self._kept[origin] = (expires, header)
        return header
