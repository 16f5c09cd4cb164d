"""The push service's own door: what application servers post to (RFC 8030)."""

import asyncio
import re
import time

from aiohttp import web

from devstack.push import vapid
from devstack.push.faults import PushFault
from devstack.push.memory import Memory, Subscription

BODY_BYTES = 4096
_URGENCIES = ("very-low", "low", "normal", "high")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")


class PushDoor:
    """Takes pushes into a memory, after checking who sends them and opening them as the browser would."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def app(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(client_max_size=16 * BODY_BYTES)
        app.router.add_post("/push/{id}", self.push)
        return app

    async def push(self, request: web.Request) -> web.Response:
        """Take a message for a subscription: 201 with its Location, or the status that says why not."""
        response = await self._answer(request)
        self._memory.answers[response.status] += 1
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        subscription = self._memory.subscriptions.get(request.match_info["id"])
        if subscription is None:
            return _refusal(404, "no such subscription")
        fault = self._memory.faults.take(lambda each: each.subscription in {None, subscription.id})
        sick = await self._suffer(fault, request)
        if sick is not None:
            return sick
        try:
            response = await self._take(request, subscription)
        except vapid.Unauthorized as error:
            return _refusal(error.status, str(error))
        except ValueError as error:
            return _refusal(400, str(error))
        if fault is not None and fault.kind == "reset_after":
            _drop(request)
        return response

    async def _suffer(self, fault: PushFault | None, request: web.Request) -> web.Response | None:
        if fault is None:
            return None
        if fault.kind == "reset_before":
            _drop(request)
            return _refusal(503, "dropped")
        if fault.seconds is not None:
            await asyncio.sleep(fault.seconds)
        if fault.status is None:
            return None
        response = _refusal(fault.status, "as you were told")
        if fault.retry_after is not None:
            response.headers["Retry-After"] = str(fault.retry_after)
        return response

    async def _take(self, request: web.Request, subscription: Subscription) -> web.Response:
        origin = str(request.url.origin())
        key = vapid.check(request.headers.get("Authorization", ""), origin, time.time())
        if subscription.key not in {None, key}:
            return _refusal(403, "the subscription belongs to another application server")
        if subscription.expired:
            return _refusal(410, "the subscription has expired")
        ttl, urgency, topic = _headers(request)
        body = await request.read()
        if len(body) > BODY_BYTES:
            return _refusal(413, f"a body has at most {BODY_BYTES} bytes")
        payload = subscription.decrypt(body).decode(errors="replace")
        subscription.key = key
        message = self._memory.keep(
            subscription, payload, ttl=ttl, urgency=urgency, topic=topic, size=len(body)
        )
        return web.Response(
            status=201, headers={"Location": f"{origin}/messages/{message.id}", "TTL": str(ttl)}
        )


def _headers(request: web.Request) -> tuple[int, str, str | None]:
    ttl, topic = request.headers.get("TTL", ""), request.headers.get("Topic")
    urgency = request.headers.get("Urgency", "normal")
    if not ttl.isascii() or not ttl.isdigit():
        raise ValueError("TTL is missing, or not a number of seconds")
    if urgency not in _URGENCIES:
        raise ValueError(f"Urgency is none of {', '.join(_URGENCIES)}")
    if topic is not None and not _TOPIC.fullmatch(topic):
        raise ValueError("Topic has up to 32 characters of base64url")
    if request.headers.get("Content-Encoding") != "aes128gcm":
        raise ValueError("Content-Encoding is not aes128gcm")
    return int(ttl), urgency, topic


def _drop(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _refusal(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)
