"""What the push service remembers: subscriptions, messages, counts, faults."""

import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec

from devstack.faults import Faults
from devstack.push import base64url, encryption
from devstack.push.faults import PushFault


@dataclass
class Subscription:
    """A browser that wants to be pushed to: `key` is the application server that it is bound to."""

    id: str
    endpoint: str
    user: str | None
    key: str | None
    private: ec.EllipticCurvePrivateKey = field(repr=False)
    auth: bytes = field(repr=False)
    expired: bool = False

    def decrypt(self, body: bytes) -> bytes:
        """Return the payload of a message to this browser; raises ValueError when it is for another."""
        return encryption.decrypt(body, self.private, self.auth)

    def listing(self) -> dict[str, object]:
        """Return what the control API shows of it; `p256dh` and `auth` are base64url."""
        return {
            "id": self.id,
            "endpoint": self.endpoint,
            "p256dh": base64url.encode(encryption.point(self.private.public_key())),
            "auth": base64url.encode(self.auth),
            "user": self.user,
            "applicationServerKey": self.key,
            "expired": self.expired,
        }


@dataclass(frozen=True)
class Message:
    """A message that was taken; `arrived` is a Unix time, `moment` a monotonic one, `ttl` in seconds."""

    id: str
    arrived: float
    moment: float
    subscription: Subscription
    payload: str
    ttl: int
    urgency: str
    topic: str | None
    size: int

    def listing(self) -> dict[str, object]:
        """Return what `GET /messages` shows of it."""
        try:
            parsed = json.loads(self.payload)
        except ValueError:
            parsed = None
        return {
            "id": self.id, "time": self.arrived, "monotonic": self.moment,
            "subscription": self.subscription.id, "user": self.subscription.user,
            "text": self.payload, "json": parsed,
            "ttl": self.ttl, "urgency": self.urgency, "topic": self.topic, "size": self.size,
        }  # fmt: skip


class Memory:
    """The push service's memory."""

    def __init__(self) -> None:
        self.faults: Faults[PushFault] = Faults()
        self.subscriptions: dict[str, Subscription] = {}
        self.reset()

    def reset(self) -> None:
        """Forget messages, counts and faults; subscriptions stay, for others have noted them down."""
        self.messages: list[Message] = []
        self.answers: Counter[int] = Counter()
        self.faults.clear()
        self.faults.happened = 0

    def subscribe(self, origin: str, user: str | None, key: str | None) -> Subscription:
        """Make a subscription with keys of its own."""
        name = uuid4().hex
        private = ec.generate_private_key(ec.SECP256R1())
        made = Subscription(name, f"{origin}/push/{name}", user, key, private, os.urandom(16))
        self.subscriptions[name] = made
        return made

    def keep(
        self,
        subscription: Subscription,
        payload: str,
        *,
        ttl: int,
        urgency: str,
        topic: str | None,
        size: int,
    ) -> Message:
        """Take a message in; `size` is that of its body in bytes."""
        message = Message(
            uuid4().hex, time.time(), time.monotonic(), subscription, payload, ttl, urgency, topic, size
        )
        self.messages.append(message)
        return message

    def counts(self) -> dict[str, object]:
        """Return the counters; `repeated` counts messages whose topic had come to that subscription."""
        topics = [(each.subscription.id, each.topic) for each in self.messages if each.topic is not None]
        return {
            "requests": sum(self.answers.values()),
            "accepted": len(self.messages),
            "repeated": len(topics) - len(set(topics)),
            "answers": {str(status): count for status, count in sorted(self.answers.items())},
            "faults": self.faults.happened,
        }
