"""Requests that come again under their Idempotency-Key get the answer that they got."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any

from aiohttp import web

from services.gateway.api.asking import Call, answer, key_reused
from services.gateway.store import OtherRequest

Handle = Callable[[Call], Awaitable[web.StreamResponse]]

Publish = Callable[[], Awaitable[tuple[int, Mapping[str, Any]]]]
Check = Callable[[str | None], Awaitable[Publish]]


async def answered_once(call: Call, check: Check) -> web.Response:
    """Answer with what comes of a request, or came of it; another body under the key is refused.

    `check` gets what ids derive from: key and body, for a key that is forgotten may come back with another.
    It raises what is wrong with the request (which does not use the key up), and returns what publishes it
    and gives status and document of the answer.
    """
    key, scope = call.idempotency_key(), call.scope()
    if key is None or scope is None:
        status, document = await (await check(None))()
        return answer(document, status)
    if (before := await _before(call, scope)) is not None:
        return before
    publish = await check(f"{key} {call.said}")
    # Of two requests at once with other bodies, one is stopped here, before anything is published.
    await call.bind()
    status, document = await publish()
    response = answer(document, status)
    await _keep(call, scope, response)
    return response


def once(handle: Handle) -> Handle:
    """Return what handles a call once: under its Idempotency-Key it gets the answer that it got."""

    @wraps(handle)
    async def handled(call: Call) -> web.StreamResponse:
        scope = call.scope()
        if scope is None:
            return await handle(call)
        if (before := await _before(call, scope)) is not None:
            return before
        response = await handle(call)
        await call.bind()
        await _keep(call, scope, response)
        return response

    return handled


async def _before(call: Call, scope: str) -> web.Response | None:
    try:
        kept = await call.door.idempotency.answer_to(call.key.id, scope, bytes.fromhex(call.said))
    except OtherRequest:
        raise key_reused() from None
    if kept is None:
        return None
    return answer(kept["document"], kept["status"], **{"Idempotency-Replayed": "true"})


async def _keep(call: Call, scope: str, response: web.StreamResponse) -> None:
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        kept = b'{"status":%d,"document":%b}' % (response.status, response.body)
        await call.door.idempotency.settle(call.key.id, scope, kept.decode())
