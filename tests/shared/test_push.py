"""Keys of push subscriptions: only those that a notification can be encrypted for."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.push import public_key_of, secret_of

P256DH = "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM"


def written(data: bytes) -> str:
    """Write bytes as browsers do."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_keys_are_read_with_and_without_padding() -> None:
    """Browsers leave the padding out; whoever keeps it says the same."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert public_key_of(written(point)) == public_key_of(written(point) + "=") == point
    assert secret_of(written(point[:16])) == secret_of(written(point[:16]) + "==") == point[:16]


@pytest.mark.parametrize(
    "text",
    [
        "", "BA", "B" * 87, "+" + P256DH[1:], P256DH + "\n", P256DH[:-1], P256DH + "A", P256DH[:-2] + "AA",
        written(b"\x04" + bytes(64)), written(b"\x04" + b"\xff" * 64), written(b"\x00" + bytes(64)),
        written(base64.urlsafe_b64decode(P256DH + "=")[:33]),
        written(b"\x03" + base64.urlsafe_b64decode(P256DH + "=")[1:33]),
    ],
)  # fmt: skip
def test_what_is_no_point_is_no_key(text: str) -> None:
    """A key is a point of P-256, not compressed, in base64url."""
    with pytest.raises(ValueError, match="P-256"):
        public_key_of(text)


@pytest.mark.parametrize(
    "text", ["", "AAAA", "A" * 21, "A" * 23, "A" * 24, "+" * 22, "A" * 22 + "=", "A" * 22 + "\n"]
)
def test_a_secret_has_16_bytes(text: str) -> None:
    """A secret of another length, or in another alphabet, is none."""
    with pytest.raises(ValueError, match="16 bytes"):
        secret_of(text)
