"""Decryption against the example of RFC 8291, appendix A."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from devstack.push import base64url
from devstack.push.encryption import decrypt, point, public_key

_PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
_PUBLIC = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
_AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
_BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8w"
    "EqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)

BODY = base64url.decode(_BODY)
AUTH = base64url.decode(_AUTH)


@pytest.fixture
def private() -> ec.EllipticCurvePrivateKey:
    """Return the example's browser key."""
    return ec.derive_private_key(int.from_bytes(base64url.decode(_PRIVATE)), ec.SECP256R1())


def test_the_standards_example_opens(private: ec.EllipticCurvePrivateKey) -> None:
    """The RFC's own message decrypts to the RFC's own text."""
    assert base64url.encode(point(private.public_key())) == _PUBLIC
    assert decrypt(BODY, private, AUTH) == b"When I grow up, I want to be a watermelon"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        BODY[:102],
        BODY[:-1],
        BODY[:16] + (17).to_bytes(4) + BODY[20:],
        BODY[:20] + b"\x40" + BODY[21:],
        BODY[:21] + b"\x05" + BODY[22:],
        BODY[:-1] + bytes([BODY[-1] ^ 1]),
    ],
    ids=["empty", "no record", "truncated", "two records", "short key", "no point", "changed"],
)
def test_what_was_tampered_with_does_not_open(private: ec.EllipticCurvePrivateKey, body: bytes) -> None:
    """A body that is cut, changed or malformed is an error, never a text."""
    with pytest.raises(ValueError, match=r"."):
        decrypt(body, private, AUTH)


@pytest.mark.parametrize("text", ["", "a=", "a+b/", "ä", "a b"])
def test_base64url_is_strict(text: str) -> None:
    """Padding, the other alphabet and blanks are refused."""
    with pytest.raises(ValueError, match="base64url"):
        base64url.decode(text)


def test_a_key_is_a_point_of_the_curve() -> None:
    """Bytes that are no point of P-256 are refused."""
    for wrong in (b"\x04" * 65, b"\x04" * 64):
        with pytest.raises(ValueError, match=r"."):
            public_key(wrong)
