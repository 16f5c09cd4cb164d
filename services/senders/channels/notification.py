"""A notification as bytes: what the service worker shows, encrypted for one browser (RFC 8291)."""

import json
import re

import http_ece  # type: ignore[import-untyped]  # it ships no types
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from services.senders.domain.sending import PushContent
from shared.events import PushSubscription
from shared.push import PushServices, public_key_of, secret_of

# RFC 8291: a body of 4096 bytes, less the header (86), the delimiter (1) and the tag (16).
PAYLOAD_BYTES = 3993
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")


def write(content: PushContent, topic: str) -> bytes:
    """Return the payload (JSON): title, body, icon, badge, tag, and data with url and urgency.

    Raises ValueError for a topic or a text that cannot be sent.
    """
    if not _TOPIC.fullmatch(topic):
        raise ValueError("a topic has up to 32 characters of base64url")
    shown = {"title": content.title, "body": content.body, "icon": content.icon, "badge": content.badge}
    told = {"url": content.url, "urgency": content.urgency}
    payload = {**_given(shown), "tag": topic, "data": _given(told)}
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def encrypt(payload: bytes, subscription: PushSubscription) -> bytes:
    """Return the body that only the subscription's browser can open; raises ValueError for bad keys."""
    receiver, auth = public_key_of(subscription.p256dh), secret_of(subscription.auth)
    encrypted: bytes = http_ece.encrypt(
        payload,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=receiver,
        auth_secret=auth,
        version="aes128gcm",
    )
    return encrypted


def endpoint_of(subscription: PushSubscription, services: PushServices) -> URL:
    """Return where to post; raises ValueError for what is of none of the services."""
    endpoint = URL(subscription.endpoint)
    host = endpoint.host or ""
    if not services.know(subscription.endpoint):
        raise ValueError("an endpoint is of a push service that is known")
    if not host or ":" in host or endpoint.user is not None or endpoint.password is not None:
        raise ValueError("an endpoint names a host, and nobody")
    return endpoint


def _given(values: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}
