"""Links that pass by the gateway, so that those who follow them are counted."""

import html
import re
from collections.abc import Callable
from dataclasses import replace

from services.senders.domain.requests import Delivery
from services.senders.domain.sending import Content, EmailContent, TelegramContent
from shared.events import Button, Lane
from shared.links import Links
from shared.markdown.buttons import button_problem
from shared.redirects import Redirect

_HREF = re.compile(r"""(<a\b[^>]*?\bhref\s*=\s*)(["'])(https?://.*?)\2""", re.IGNORECASE | re.DOTALL)
_URL = re.compile(r"https?://[^\s<>\"'\[\]{}|\\^`]+", re.IGNORECASE)
_AFTER = ".,;:!?)*_~"
"""What stands behind a link in a text and is no part of it."""


class Redirects:
    """Makes links pass by the gateway, which is reached at `public_url`."""

    def __init__(self, links: Links, public_url: str) -> None:
        self._links = links
        self._public_url = public_url.rstrip("/")

    def through(self, content: Content, delivery: Delivery) -> Content:
        """Return the content with the links that are counted: a promo's button, a campaign letter's links."""
        request = delivery.request
        if isinstance(content, TelegramContent) and request.promo is not None:
            promo_id, bot = request.promo.promo_id, request.bot
            return self._below_a_post(
                content, lambda url: Redirect(url=url, delivery_id=delivery.id, promo_id=promo_id, bot=bot)
            )
        if isinstance(content, EmailContent) and request.lane is Lane.CAMPAIGN:
            campaign_id = request.campaign_id
            return self._in_a_letter(
                content, lambda url: Redirect(url=url, delivery_id=delivery.id, campaign_id=campaign_id)
            )
        return content

    def _below_a_post(self, content: TelegramContent, redirect: Callable[[str], Redirect]) -> TelegramContent:
        rows = tuple(tuple(self._button(button, redirect) for button in row) for row in content.buttons)
        return replace(content, buttons=rows)

    def _button(self, button: Button, redirect: Callable[[str], Redirect]) -> Button:
        if button.url is None or not button.url.lower().startswith(("http://", "https://")):
            return button
        link = self._signed(button.url, redirect)
        # A post that is not counted is better than none.
        problem = button_problem({"text": button.text, "url": link})
        return button if problem else Button(text=button.text, url=link)

    def _in_a_letter(self, content: EmailContent, redirect: Callable[[str], Redirect]) -> EmailContent:
        def in_html(found: re.Match[str]) -> str:
            link = self._signed(html.unescape(found[3]), redirect)
            return f"{found[1]}{found[2]}{html.escape(link)}{found[2]}"

        def in_text(found: re.Match[str]) -> str:
            url = found[0].rstrip(_AFTER)
            return self._signed(url, redirect) + found[0][len(url) :]

        markup = None if content.html is None else _HREF.sub(in_html, content.html)
        return replace(content, text=_URL.sub(in_text, content.text), html=markup)

    def _signed(self, url: str, redirect: Callable[[str], Redirect]) -> str:
        # Links to the gateway itself, to unsubscribe for instance, are nobody's interest but the reader's.
        if url == self._public_url or url.startswith(f"{self._public_url}/"):
            return url
        return redirect(url).signed(self._links, self._public_url)
