"""The link in a letter: looking changes nothing, one click unsubscribes, and nobody else's link does."""

import re
from typing import Any

import pytest

from services.gateway.settings import GatewaySettings
from shared import ids
from shared.links import Links, Purpose, unsubscribe_url
from shared.queries import Unsubscribed, UnsubscribeRecipient

KEY = "k" * 32
DELIVERY = ids.derived("delivery", 1)
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def settings(settings: GatewaySettings) -> GatewaySettings:
    """Return the settings of a gateway that signs links, and knows those of an older key."""
    return GatewaySettings.model_validate({**settings.model_dump(), "link_signing_keys": f"new{KEY},{KEY}"})


async def visit(gateway: Any, method: str, link: str, **more: Any) -> tuple[int, str, Any]:
    """Go to a link and return the status, the page, and its headers."""
    async with gateway.http.request(method, link, allow_redirects=False, **more) as response:
        return response.status, await response.text(), response.headers


async def test_one_click_unsubscribes(gateway: Any) -> None:
    """A POST is enough, without page, key or body, and as often as it comes: each is a cause of its own."""
    await gateway.peers.answer(UnsubscribeRecipient, lambda _: Unsubscribed(known=True))
    link = unsubscribe_url(Links([KEY]), gateway.url, DELIVERY)

    for more in ({"data": ONE_CLICK}, {}):
        status, page, _ = await visit(gateway, "POST", link, **more)
        assert (status, "You are unsubscribed" in page) == (200, True)

    first, second = gateway.peers.of(UnsubscribeRecipient)
    assert first.delivery_id == second.delivery_id == DELIVERY
    assert first.cause != second.cause


async def test_looking_changes_nothing(gateway: Any) -> None:
    """GET and HEAD (scanners follow every link) show a page whose form does what one click does."""
    await gateway.peers.answer(UnsubscribeRecipient, lambda _: Unsubscribed(known=True))
    link = unsubscribe_url(Links([KEY]), gateway.url, DELIVERY)

    assert (await visit(gateway, "HEAD", link))[0] == 200
    status, page, headers = await visit(gateway, "GET", link, headers={"Accept-Language": "es-MX,es"})

    assert (status, headers["Content-Language"], 'lang="es"' in page) == (200, "es", True)
    assert re.search(r'<form method="post">.*name="List-Unsubscribe" value="One-Click".*<button>', page)
    assert gateway.peers.of(UnsubscribeRecipient) == []
    assert "form-action 'self'" in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


async def test_nobody_elses_link_unsubscribes(gateway: Any) -> None:
    """A link that was cut, signed by others, or made for something else is none, and says so to people."""
    await gateway.peers.answer(UnsubscribeRecipient, lambda _: Unsubscribed(known=True))
    ours = unsubscribe_url(Links([KEY]), gateway.url, DELIVERY)
    said = {"delivery": ids.to_short(DELIVERY)}
    tokens = [
        Links(["x" * 32]).sign(Purpose.UNSUBSCRIBE, said),
        Links([KEY]).sign(Purpose.REDIRECT, said),
        Links([KEY]).sign(Purpose.UNSUBSCRIBE, {"delivery": "nonsense"}),
        Links([KEY]).sign(Purpose.UNSUBSCRIBE, {}),
    ]
    for link in (ours[:-1], *(f"{gateway.url}/u/{token}" for token in tokens)):
        for method in ("GET", "POST"):
            status, page, _ = await visit(gateway, method, link)
            assert (status, "not valid" in page) == (404, True)
    assert gateway.peers.of(UnsubscribeRecipient) == []


async def test_without_senders_it_is_not_said_to_be_done(gateway: Any) -> None:
    """While senders is away the page asks to try again, and a provider is told to."""
    link = unsubscribe_url(Links([KEY]), gateway.url, DELIVERY)

    status, page, headers = await visit(gateway, "POST", link, data=ONE_CLICK)

    assert (status, headers["Retry-After"], "try again" in page, "<form" in page) == (503, "60", True, True)
