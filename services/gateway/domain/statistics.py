"""What promos brought: the posts of scheduler joined with the presses of clicks."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from shared.queries import PostClicks, PromoClicks, PromoLogEntry, PromoPosts

Place = tuple[UUID, datetime, int | None]
"""A slot's schedule, its time, and a chat."""

LOG_COLUMNS = (
    "schedule_id", "slot", "promo_id", "chat_id", "state", "reason", "message_id", "clicks", "unique_users",
)  # fmt: skip


class PromoStats(BaseModel):
    """A promo's sums; `ctr` is presses per post, `conversion_rate` completed per press: 0 without any.

    Presses are those of buttons and redirects; deep links follow a press, and are a series of their own.
    """

    promo_id: str
    slots: int
    intended: int
    posted: int
    failed: int
    suppressed: int
    ambiguous: int
    pending: int
    reach: int
    clicks: int
    unique_users: int
    ctr: float
    completed: int
    conversion_rate: float
    deep_links: int


class PromoStatsList(BaseModel):
    """Sums per promo, and how many slots were skipped, by reason."""

    items: tuple[PromoStats, ...]
    skipped: dict[str, int] = {}


class _Lines(list[str]):
    """What a writer of CSV writes to."""

    def write(self, line: str) -> None:
        """Take a line."""
        self.append(line)


def joined(posts: Sequence[PromoPosts], clicks: Sequence[PromoClicks]) -> list[PromoStats]:
    """Join sums by promo; a payload that was never due, and that anybody may have typed, is left out."""
    pressed = {each.promo_id: each for each in clicks}
    return [_stats(each, pressed.get(each.promo_id)) for each in posts]


def stats_csv(items: Iterable[PromoStats]) -> str:
    """Write sums as CSV with a header."""
    return _csv(tuple(PromoStats.model_fields), (list(each.model_dump().values()) for each in items))


def log_csv(entries: Iterable[PromoLogEntry], clicks: Mapping[Place, PostClicks], *, header: bool) -> str:
    """Write a part of the promo log as CSV: a row for each slot and chat, one for a slot that was skipped."""
    return _csv(LOG_COLUMNS if header else (), (row for entry in entries for row in _log_rows(entry, clicks)))


def place_of(clicks: PostClicks) -> Place:
    """Return where a post is in the log."""
    return clicks.schedule_id, clicks.slot, clicks.chat_id


def _stats(posts: PromoPosts, clicks: PromoClicks | None) -> PromoStats:
    pressed = clicks.clicks if clicks else 0
    return PromoStats(
        **posts.model_dump(),
        clicks=pressed,
        unique_users=clicks.unique_users if clicks else 0,
        ctr=pressed / posts.posted if posts.posted else 0.0,
        completed=clicks.completed if clicks else 0,
        conversion_rate=clicks.conversion_rate if clicks else 0.0,
        deep_links=clicks.deep_links if clicks else 0,
    )


def _log_rows(entry: PromoLogEntry, clicks: Mapping[Place, PostClicks]) -> Iterable[list[object]]:
    slot = entry.slot.isoformat()
    if entry.skipped is not None:
        yield [entry.schedule_id, slot, "", "", "skipped", entry.skipped, "", 0, 0]
    for chat in entry.chats:
        pressed = clicks.get((entry.schedule_id, entry.slot, chat.chat_id))
        yield [
            entry.schedule_id, slot, entry.promo_id, chat.chat_id, chat.state.value, chat.reason or "",
            chat.provider_message_id or "", pressed.clicks if pressed else 0,
            pressed.unique_users if pressed else 0,
        ]  # fmt: skip


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\r\n")
    if header:
        writer.writerow(header)
    writer.writerows(rows)
    return "".join(lines)
