"""API keys: how they look, and what is kept of them."""

import base64
import hashlib
import re
from dataclasses import dataclass

ENTROPY_BYTES = 32
PATTERN = re.compile(r"crl_[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True)
class Rate:
    """How often a key may be used: so many times a second, and `burst` times at once after a rest."""

    per_second: float
    burst: int


def key_of(entropy: bytes) -> str:
    """Write 32 random bytes as a key, `crl_` and 43 characters of base64url; raises ValueError otherwise."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a key is made of {ENTROPY_BYTES} random bytes")
    return "crl_" + base64.urlsafe_b64encode(entropy).rstrip(b"=").decode()


def digest_of(key: str) -> bytes:
    """Return the SHA-256 that is kept of a key; a key's 256 random bits need no slow hash."""
    return hashlib.sha256(key.encode()).digest()
