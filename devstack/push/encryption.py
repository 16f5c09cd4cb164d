"""How a browser opens a push message: aes128gcm in one record (RFC 8291, RFC 8188)."""

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

POINT_BYTES = 65
_HEADER = struct.Struct("!16sLB")


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    """Write a public key as an uncompressed point (65 bytes)."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def public_key(data: bytes) -> ec.EllipticCurvePublicKey:
    """Read what `point` wrote; raises ValueError for anything that is not a point of P-256."""
    if len(data) != POINT_BYTES:
        raise ValueError("a key has 65 bytes, uncompressed")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)


def decrypt(body: bytes, private: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """Return the payload that was encrypted for a subscription; raises ValueError when it was not."""
    if len(body) < _HEADER.size + POINT_BYTES + 18:
        raise ValueError("the body is too short for a header and a record")
    salt, record_size, key_length = _HEADER.unpack_from(body)
    if key_length != POINT_BYTES:
        raise ValueError("the header's key id is not the sender's public key")
    sender = body[_HEADER.size : _HEADER.size + POINT_BYTES]
    record = body[_HEADER.size + POINT_BYTES :]
    if len(record) > record_size:
        raise ValueError("a push message has one record")
    key, nonce = _derive(private, sender, auth, salt)
    try:
        padded = AESGCM(key).decrypt(nonce, record, None)
    except InvalidTag as error:
        raise ValueError("the record does not authenticate") from error
    content = padded.rstrip(b"\0")
    if not content.endswith(b"\x02"):
        raise ValueError("the last record's delimiter is missing")
    return content[:-1]


def _derive(
    private: ec.EllipticCurvePrivateKey, sender: bytes, auth: bytes, salt: bytes
) -> tuple[bytes, bytes]:
    shared = private.exchange(ec.ECDH(), public_key(sender))
    context = b"WebPush: info\0" + point(private.public_key()) + sender
    secret = _hkdf(auth, context, 32, shared)
    return (
        _hkdf(salt, b"Content-Encoding: aes128gcm\0", 16, secret),
        _hkdf(salt, b"Content-Encoding: nonce\0", 12, secret),
    )


def _hkdf(salt: bytes, context: bytes, length: int, secret: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=context).derive(secret)
