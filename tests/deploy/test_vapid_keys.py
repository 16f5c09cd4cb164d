"""The command makes keys that senders signs with and browsers subscribe to."""

import base64

import orjson
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02
from typer.testing import CliRunner

from carillon.__main__ import app


def test_the_public_key_is_that_of_the_private_one() -> None:
    """Otherwise every push is refused; two calls make two pairs."""
    first, second = (orjson.loads(CliRunner().invoke(app, ["keys", "vapid", "--json"]).output) for _ in "ab")
    assert first.keys() == {"PUSH_VAPID_PRIVATE_KEY", "PUSH_VAPID_PUBLIC_KEY"}
    assert first != second
    key = Vapid02.from_string(first["PUSH_VAPID_PRIVATE_KEY"])
    point = key.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert base64.urlsafe_b64encode(point).rstrip(b"=").decode() == first["PUSH_VAPID_PUBLIC_KEY"]
