"""Links that pass by the gateway: where they lead, and of what they are a part, in a token of ours."""

from datetime import datetime
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.links import BadLink, Links, Purpose

LONGEST = 2000
"""Browsers and Telegram take longer ones; mail gateways and people's tools often do not."""


class Redirect(BaseModel):
    """A link to `url`, below a promo's post (`promo_id`, `bot`) or in a letter of a campaign."""

    model_config = ConfigDict(frozen=True)

    url: str
    delivery_id: UUID | None = None
    promo_id: str | None = None
    bot: str | None = None
    campaign_id: UUID | None = None

    def signed(self, links: Links, public_url: str) -> str:
        """Return the link that passes by the gateway; the url itself where the link would be too long."""
        token = links.sign(Purpose.REDIRECT, self.model_dump(mode="json", exclude_none=True))
        link = f"{public_url.rstrip('/')}/r/{token}"
        return link if len(link) <= LONGEST else self.url

    @classmethod
    def read(cls, links: Links, token: str, now: datetime) -> Self:
        """Return what a token says; raises BadLink for what is none of ours, or leads nowhere on the web."""
        try:
            redirect = cls.model_validate(links.read(Purpose.REDIRECT, token, now))
            parts = urlsplit(redirect.url)
        except (ValidationError, ValueError):
            raise BadLink("no link of ours") from None
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise BadLink("no link of ours")
        return redirect
