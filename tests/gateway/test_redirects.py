"""Links that pass by the gateway: who follows one is recorded once, and always sent on."""

import asyncio
from typing import Any

import pytest

from services.gateway.domain.crawlers import is_crawler
from services.gateway.settings import GatewaySettings
from shared import ids, metrics
from shared.events import ButtonClicked, ClickSource
from shared.links import Links, Purpose
from shared.redirects import Redirect

KEY = "k" * 32
TARGET = "https://broker.example/bonus?x=1&name=%C3%BC#there"
DELIVERY = ids.derived("delivery", 1)
PROMO = Redirect(url=TARGET, delivery_id=DELIVERY, promo_id="bonus", bot="default")
LETTER = Redirect(url=TARGET, delivery_id=DELIVERY, campaign_id=ids.derived("campaign", 1))


@pytest.fixture
def settings(settings: GatewaySettings) -> GatewaySettings:
    """Return the settings of a gateway that knows the keys of links."""
    return GatewaySettings.model_validate(
        {
            **settings.model_dump(),
            "public_url": "https://carillon.example",
            "link_signing_keys": f"new{KEY},{KEY}",
        }
    )


async def follow(gateway: Any, redirect: Redirect, method: str = "GET", **headers: str) -> str:
    """Follow a link and return where it leads."""
    link = redirect.signed(Links([KEY]), gateway.url)
    async with gateway.http.request(method, link, headers=headers, allow_redirects=False) as response:
        assert response.status == 302
        assert response.headers["Cache-Control"] == "no-store"
        assert await response.read() == b""
        return str(response.headers["Location"])


async def test_a_link_is_followed(gateway: Any) -> None:
    """Each visit is a press of its own, without a user; what no person asked for is none."""
    for headers in ({"User-Agent": "TelegramBot (like TwitterBot)"}, {"Sec-Purpose": "prefetch;prerender"}):
        assert await follow(gateway, PROMO, **headers) == TARGET
    assert await follow(gateway, PROMO, "HEAD") == TARGET
    assert await follow(gateway, PROMO) == TARGET
    assert await follow(gateway, PROMO) == TARGET
    assert await follow(gateway, LETTER) == TARGET
    one, two, letter = await gateway.eventually(ButtonClicked, 3)
    assert one.id != two.id
    assert (one.source, one.payload, one.delivery_id, one.bot) == (
        ClickSource.REDIRECT, "bonus", DELIVERY, "default",
    )  # fmt: skip
    assert (one.bot_id, one.person, one.chat_id) == (123456, None, None)
    assert (letter.payload, letter.metadata) == ("", {"campaign_id": str(LETTER.campaign_id)})
    await asyncio.sleep(0.2)
    assert len(gateway.published(ButtonClicked)) == 3, "a crawler was counted"
    for token in ("x", Links([KEY]).sign(Purpose.UNSUBSCRIBE, {"url": TARGET}),
                  Links(["y" * 32]).sign(Purpose.REDIRECT, {"url": "https://evil.example"})):  # fmt: skip
        async with gateway.http.get(f"{gateway.url}/r/{token}", allow_redirects=False) as response:
            assert (response.status, response.content_type) == (404, "application/problem+json")
            assert "Location" not in response.headers


async def test_the_broker_is_away(gateway: Any) -> None:
    """Whoever follows a link goes on, whatever is away here; what could not be recorded is counted."""
    before = metrics.LINKS_UNRECORDED._value.get()
    await gateway.nats.kill()
    assert await follow(gateway, PROMO) == TARGET
    assert metrics.LINKS_UNRECORDED._value.get() == before + 1
    await gateway.nats.restart()


AGENTS = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36": False,
    "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Telegram-Android/12.1": False,
    "": False,
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": True,
    "TelegramBot (like TwitterBot)": True,
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)": True,
    "facebookexternalhit/1.1": True,
    "WhatsApp/2.23": True,
    "Mozilla/5.0 (compatible; bingbot/2.0)": True,
    "Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)": True,
}


@pytest.mark.parametrize("agent", AGENTS)
def test_crawlers(agent: str) -> None:
    """Known crawlers are told from people's browsers, those inside other programs too."""
    assert is_crawler({"User-Agent": agent}) == AGENTS[agent]
