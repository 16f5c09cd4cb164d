"""Links that pass by here: whoever follows one is recorded and sent on."""

import string
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import quote
from uuid import uuid4

from aiohttp import web

from services.gateway.api.problems import Problem
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.crawlers import is_crawler
from shared import metrics, telemetry
from shared.bus import Bus, BusUnavailable
from shared.events import ButtonClicked, ClickSource
from shared.links import BadLink, Links
from shared.redirects import Redirect

SECONDS = 1.5
"""How long somebody who follows a link waits until it is recorded; then they go on all the same."""
HEADERS = {"X-Robots-Tag": "noindex, nofollow"}

log = telemetry.logger(__name__)


class Redirects:
    """Answers `/r/<token>`; without keys there is no link of ours."""

    def __init__(
        self, bus: Bus, bots: Mapping[str, DoorBot], links: Links | None, now: Callable[[], datetime]
    ) -> None:
        self._bus = bus
        self._bots = bots
        self._links = links
        self._now = now

    async def follow(self, request: web.Request) -> web.Response:
        """Send somebody on to where a link leads, and record that they followed it."""
        redirect = self._read(request.match_info["token"])
        if request.method == "GET" and not is_crawler(request.headers):
            await self._record(redirect)
        return web.Response(
            status=302, headers={**HEADERS, "Location": quote(redirect.url, safe=string.punctuation)}
        )

    def _read(self, token: str) -> Redirect:
        unknown = Problem(404, "Not found", "there is no such link")
        if self._links is None:
            raise unknown
        try:
            return Redirect.read(self._links, token, self._now())
        except BadLink:
            raise unknown from None

    async def _record(self, redirect: Redirect) -> None:
        bot = self._bots.get(redirect.bot or "")
        campaign = {"campaign_id": str(redirect.campaign_id)} if redirect.campaign_id else None
        click = ButtonClicked(
            id=uuid4(), at=self._now(), source=ClickSource.REDIRECT, payload=redirect.promo_id or "",
            delivery_id=redirect.delivery_id, bot=redirect.bot or "", bot_id=bot.id if bot else 0,
            metadata=campaign,
        )  # fmt: skip
        try:
            await self._bus.publish(click, seconds=SECONDS)
        except BusUnavailable:
            metrics.LINKS_UNRECORDED.inc()
            log.warning("link_unrecorded", click_id=str(click.id))
