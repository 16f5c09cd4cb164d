"""Broadcasts: one text to everybody, to subscribers or to admins; each is a campaign of senders."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

from shared.events import Body, Button
from shared.markdown import Formatted, check

AudienceWord = Literal["all", "subscribers", "admins"]
Status = Literal["draft", "scheduled", "sending", "sent", "failed", "cancelled"]
AUDIENCES: tuple[AudienceWord, ...] = get_args(AudienceWord)
ROLES: dict[AudienceWord, tuple[str, ...]] = {
    "all": (),
    "subscribers": ("subscriber", "admin", "owner"),
    "admins": ("admin", "owner"),
}
"""Whom each audience takes in; who has opted out is left out by senders."""


@dataclass(frozen=True)
class Draft:
    """What a broadcast says, and to whom: MarkdownV2, and a button where there is a `cta_url`."""

    text: str
    audience: AudienceWord = "all"
    cta_text: str | None = None
    cta_url: str | None = None
    bot: str | None = None

    def body(self) -> Body:
        """Return it as the body of a message."""
        buttons = ((Button(text=self.cta_text or "", url=self.cta_url),),) if self.cta_url else ()
        return Body(text=self.text, format="markdown_v2", buttons=buttons)

    def checked(self) -> Formatted:
        """Return what Telegram will show of it; raises shared.markdown.Refused with Telegram's own words."""
        return check(self.text, "MarkdownV2", self.body().buttons)


@dataclass(frozen=True)
class Broadcast:
    """A broadcast and what became of it; the sums are null until senders has told of its campaign."""

    id: UUID
    draft: Draft
    status: Status
    scheduled_at: datetime | None
    time_zone: str | None
    reason: str | None
    recipients: int | None
    sent: int | None
    failed: int | None
    suppressed: int | None
    ambiguous: int | None
    created_at: datetime
    updated_at: datetime


def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """Return when a clock of a zone shows a time, the first time that it does.

    Raises ValueError for a time that the clock passes over.
    """
    instant = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local:
        raise ValueError("there is no such time in this zone: its clocks are put forward past it")
    return instant
