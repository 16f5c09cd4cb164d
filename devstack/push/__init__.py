"""A Web Push service on loopback, and the browsers behind it: it checks VAPID and opens what it is sent.

Application servers post to a subscription's endpoint (`push.url` + `/push/{id}`; RFC 8030, 8291, 8292):

| answer | when |
|---|---|
| 201, Location | taken |
| 400 | TTL missing, Urgency or Topic malformed, Content-Encoding not aes128gcm, a body that the browser cannot open (a real service would take it, and the browser drop it) |
| 401 | no VAPID credentials, or none that can be read |
| 403 | signature, aud, exp or sub does not hold, or the key is not the one the subscription is bound to |
| 404, 410 | no such subscription; it has expired |
| 413 | a body of more than 4096 bytes |

A subscription without an applicationServerKey is bound to the key of the first message that it takes.

Its control API (`push.control_url`; JSON, errors are `{"error": …}`):

| method | path | does |
|---|---|---|
| GET | `/` | lists this table |
| GET, POST | `/subscriptions` | lists; makes one (user, applicationServerKey, both optional): id, endpoint, p256dh, auth |
| POST | `/subscriptions/{id}/expire` | lets it expire: 410 from now on |
| GET | `/messages?subscription=` | what came: id, time (Unix), monotonic, subscription, user, text, json, ttl, urgency, topic, size (of the body) |
| GET | `/counters` | requests, accepted, repeated (topics seen before), answers by status, faults |
| GET, POST, DELETE | `/faults` | lists, adds, withdraws: kind (status, slow, reset_before, reset_after: the effect), status and retry_after, seconds, subscription (that one only), times (1; null: always) |
| POST | `/reset` | forgets messages, counters, faults; subscriptions stay |
"""  # noqa: E501  # a table's row is one line

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from devstack.control import serving
from devstack.push.control import PushControl
from devstack.push.door import PushDoor
from devstack.push.memory import Memory, Message, Subscription

__all__ = ["Message", "PushService", "Subscription"]


@dataclass(frozen=True)
class PushService:
    """An open push service: where it takes pushes, where it is controlled, what came."""

    url: str
    control_url: str
    memory: Memory

    @classmethod
    @asynccontextmanager
    async def open(
        cls, *, host: str = "127.0.0.1", port: int = 0, control_port: int = 0
    ) -> AsyncIterator["PushService"]:
        """Open a push service while the context lasts."""
        memory = Memory()
        async with (
            serving(PushDoor(memory).app(), host, port) as url,
            serving(PushControl(memory, url).app(), host, control_port) as control_url,
        ):
            yield cls(url, control_url, memory)
