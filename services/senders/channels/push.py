"""Web Push: a notification is encrypted for one browser and posted to its push service."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from uuid import UUID

import aiohttp
from yarl import URL

from services.senders.channels.notification import PAYLOAD_BYTES, encrypt, endpoint_of, write
from services.senders.channels.vapid import VapidTokens
from services.senders.domain.sending import (
    Answer,
    Later,
    Outgoing,
    PushContent,
    PushTarget,
    Refused,
    Sent,
    Stopped,
)
from shared import events, ids
from shared.push import PushServices

# Push services keep a message for four weeks at most.
_LONGEST_TTL = 28 * 86_400
_LONGEST_WAIT = 86_400.0
_WELL_KNOWN = PushServices()
_REFUSALS: dict[int, Answer] = {
    401: Stopped("vapid"),
    403: Stopped("vapid"),
    404: Refused("expired_subscription", suppresses=True),
    410: Refused("expired_subscription", suppresses=True),
    413: Refused("too_large"),
}


class PushChannel:
    """Web Push, as one application server."""

    name = events.Channel.PUSH

    def __init__(
        self,
        session: aiohttp.ClientSession,
        tokens: VapidTokens,
        now: Callable[[], datetime],
        services: PushServices,
    ) -> None:
        self._session = session
        self._tokens = tokens
        self._now = now
        self._services = services

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        tokens: VapidTokens,
        now: Callable[[], datetime],
        *,
        services: PushServices = _WELL_KNOWN,
        timeout: float = 30.0,
    ) -> AsyncIterator["PushChannel"]:
        """Keep a channel while the context lasts.

        Nothing but `services` is posted to; `timeout` (seconds) is for a whole request.
        """
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout), cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            yield cls(session, tokens, now, services)

    @property
    def key(self) -> UUID:
        """What our key is known by."""
        return ids.derived("vapid key", self._tokens.public_key)

    async def send(self, item: Outgoing) -> Answer:
        """Post a notification; its Topic and tag are the same at every attempt, so a repeat replaces it."""
        if not isinstance(item.to, PushTarget) or not isinstance(item.content, PushContent):
            raise TypeError("the push channel sends notifications")
        topic = item.content.topic or ids.to_short(item.delivery_id)
        try:
            payload = write(item.content, topic)
        except ValueError:
            return Refused("invalid")
        if len(payload) > PAYLOAD_BYTES:
            return Refused("too_large")
        try:
            endpoint = endpoint_of(item.to.subscription, self._services)
            body = encrypt(payload, item.to.subscription)
        except ValueError:
            # A subscription that cannot be pushed to never will be.
            return Refused("invalid", suppresses=True)
        headers = {"Topic": topic, "Urgency": item.content.urgency}
        return await self._post(endpoint, body, headers, item.expires_at)

    async def _post(self, endpoint: URL, body: bytes, headers: dict[str, str], until: datetime) -> Answer:
        now = self._now()
        ttl = min(max(int((until - now).total_seconds()), 0), _LONGEST_TTL)
        headers |= {
            "TTL": str(ttl),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "Authorization": self._tokens.authorization(str(endpoint.origin()), now),
        }
        try:
            async with self._session.post(
                endpoint, data=body, headers=headers, allow_redirects=False
            ) as response:
                # A short answer read to its end lets the connection be used again.
                await response.content.read(4096)
                return _answer(response, headers["Topic"], now)
        except (aiohttp.ClientError, OSError):
            # Whether it came through or not: a repeated push does no harm.
            return Later(None, "no_effect")


def _answer(response: aiohttp.ClientResponse, topic: str, now: datetime) -> Answer:
    status, retry_after = response.status, response.headers.get("Retry-After")
    if status // 100 == 2:
        return Sent(response.headers.get("Location", topic)[:512])
    if status == 429:
        return Later(_seconds(retry_after, now), "throttled")
    if status == 408 or status // 100 == 5:
        return Later(_seconds(retry_after, now), "no_effect")
    return _REFUSALS.get(status, Refused("rejected"))


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """Return how long a Retry-After (seconds or a date) asks to wait, a day at most; None for nothing."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), _LONGEST_WAIT)
    try:
        asked = (parsedate_to_datetime(retry_after) - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(asked, 0.0), _LONGEST_WAIT)
