"""Requests that come again under their Idempotency-Key get the answer that they got."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from services.gateway.api.asking import Call, answer
from services.gateway.api.problems import Problem
from services.gateway.store import OtherRequest

Publish = Callable[[], Awaitable[tuple[int, Mapping[str, Any]]]]
Check = Callable[[str | None], Awaitable[Publish]]


async def answered_once(call: Call, check: Check) -> web.Response:
    """Answer with what comes of a request, or came of it; another body under the key is refused.

    `check` gets what ids derive from: key and body, for a key that is forgotten may come back with another.
    It raises what is wrong with the request (which does not use the key up), and returns what publishes it
    and gives status and document of the answer.
    """
    key = call.idempotency_key()
    if key is None:
        status, document = await (await check(None))()
        return answer(document, status)
    known, owner = call.door.idempotency, call.key.id
    # A key is one caller's, for one route.
    scoped = f"{call.request.path} {key}"
    digest = hashlib.sha256(await call.request.read()).digest()
    try:
        before = await known.answer_to(owner, scoped, digest)
        if before is not None:
            return answer(before["document"], before["status"], **{"Idempotency-Replayed": "true"})
        publish = await check(f"{key} {digest.hex()}")
        # Of two requests at once with other bodies, one is stopped here, before anything is published.
        await known.take(owner, scoped, digest)
    except OtherRequest:
        raise Problem(
            422, "Idempotency key reused", "this Idempotency-Key was used for another request"
        ) from None
    status, document = await publish()
    await known.settle(owner, scoped, orjson.dumps({"status": status, "document": document}).decode())
    return answer(document, status)
