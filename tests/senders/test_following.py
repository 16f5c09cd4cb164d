"""Links that are counted: a promo's button and the links of a campaign's letter; no others."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.senders.domain.requests import Delivery, Request
from services.senders.domain.sending import EmailContent
from services.senders.handlers.following import Redirects
from shared import ids
from shared.events import Body, Button, Channel, Lane
from shared.links import Links
from shared.redirects import Redirect

LINKS = Links(["k" * 32])
PUBLIC = "https://carillon.example"
REDIRECTS = Redirects(LINKS, PUBLIC)
TARGET = "https://broker.example/bonus?a=1&b=2"
LINK = re.compile(rf"{PUBLIC}/r/([\w.-]+)")


def read(link: str) -> Redirect:
    """Return what a link says."""
    found = LINK.fullmatch(link)
    assert found, link
    return Redirect.read(LINKS, found[1], datetime.now(UTC))


async def test_a_promos_link_passes_by(house: Any) -> None:
    """A promo's button to the web names post, promo and bot; other messages' buttons stay as they are."""
    house.chat(42)
    house.desk = house.replica(redirects=REDIRECTS)
    message_id = await house.handle(
        house.due(promo_id="bonus", payload=None, button=Button(text="Get it", url=TARGET))
    )
    await house.handle(house.asked(body=Body(text="Hi", buttons=((Button(text="x", url=TARGET),),))))
    promo, plain = (
        sent.message.reply_markup["inline_keyboard"][0][0]["url"]
        for _, sent in house.telegram.cloud.records.sent.since(0)
    )
    said = read(promo)
    assert (said.url, said.promo_id, said.bot) == (TARGET, "bonus", "default")
    assert said.delivery_id == ids.delivery_of(message_id, Channel.TELEGRAM)
    assert plain == TARGET


def test_a_campaigns_letter(request_of: Callable[..., Request]) -> None:
    """Links in both parts of a campaign's letter pass by, but for those to the gateway; alerts' do not."""
    html = (
        '<p>https://not.a/link</p><a class="b" href="https://broker.example/bonus?a=1&amp;b=2">x</a>'
        f'<a href=\'mailto:a@b.c\'>y</a><a href="{PUBLIC}/u/token">z</a><img src="https://a.b/c.png">'
    )
    content = EmailContent("Hi", f"See {TARGET}, or (http://b.example).\nLeave: {PUBLIC}/u/token", html)
    request = request_of(Lane.CAMPAIGN, campaign_id=UUID(int=7))
    letter = REDIRECTS.through(content, delivery_of(request))
    assert isinstance(letter, EmailContent)
    assert letter.html is not None
    first, second = (read(found[0]) for found in LINK.finditer(letter.text))
    assert (first.url, second.url) == (TARGET, "http://b.example")
    assert (first.campaign_id, first.delivery_id, first.promo_id) == (UUID(int=7), UUID(int=1), None)
    assert LINK.sub("L", letter.text) == f"See L, or (L).\nLeave: {PUBLIC}/u/token"
    (link,) = LINK.finditer(letter.html)
    assert read(link[0]) == first
    assert LINK.sub("L", letter.html) == html.replace("https://broker.example/bonus?a=1&amp;b=2", "L")
    assert REDIRECTS.through(content, delivery_of(request_of())) is content


def delivery_of(request: Request) -> Delivery:
    """Return a first attempt of a request over e-mail."""
    return Delivery(
        id=UUID(int=1), request=request, channel=Channel.EMAIL, position=0, attempt=0, tries=0, greylists=0,
        faults=0, resent=False, cancelled=False, paused=False, behind=0, trace=None,
    )  # fmt: skip
