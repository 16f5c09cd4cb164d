"""Bearer keys: who may call what, and how often."""

import math

from aiohttp import web

from services.gateway.api.problems import Problem, key_held
from services.gateway.domain.keys import PATTERN, Rate
from services.gateway.domain.roles import KeyRole
from services.gateway.store import ApiKey, KeyHeld, Keys, TooOften


async def admitted(request: web.Request, keys: Keys, role: KeyRole, rate: Rate | None) -> ApiKey:
    """Return the key of a request that may do what the role may; raises the problem 401, 403, 429 or 503."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise _unauthorized('Bearer realm="carillon"', "send an API key as Authorization: Bearer crl_…")
    try:
        found = await keys.use_key(key, rate) if PATTERN.fullmatch(key) else None
    except TooOften as refused:
        wait = str(max(math.ceil(refused.seconds), 1))
        detail = "this key is used more often than it may be"
        raise Problem(429, "Too many requests", detail, headers={"Retry-After": wait}) from None
    except KeyHeld:
        raise key_held() from None
    if found is None:
        raise _unauthorized('Bearer realm="carillon", error="invalid_token"', "the key is not valid")
    if found.role < role:
        raise Problem(403, "Forbidden", f"this needs a key of role {role.word} or above")
    return found


def _unauthorized(challenge: str, detail: str) -> Problem:
    return Problem(401, "Unauthorized", detail, headers={"WWW-Authenticate": challenge})
