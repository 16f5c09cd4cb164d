"""Rate limits as numbers, and the reservation of a slot as arithmetic (GCRA).

A key's `tat` is the theoretical arrival time of its next slot. A limit of n per period with burst b has the
interval period / n and the tolerance (b - 1) * interval: any window of one period then holds at most n + b.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.events import Channel, Lane

MINUTES_AHEAD = 3
LEAST_AHEAD = 100
MOST_AHEAD = 3000


@dataclass(frozen=True)
class Limit:
    """A rate for one key: a slot every `interval` seconds, `tolerance` seconds of burst."""

    key: str
    interval: float
    tolerance: float = 0.0

    @classmethod
    def per(cls, key: str, count: float, seconds: float, burst: int = 1) -> "Limit":
        """Return the limit of `count` per `seconds`."""
        interval = seconds / count
        return cls(key, interval, (burst - 1) * interval)


@dataclass(frozen=True)
class Limits:
    """The numbers of all limits."""

    bot_per_second: float = 20.0
    private_chat_per_second: float = 1.0
    group_per_minute: float = 20.0
    group_burst: int = 1
    email_per_minute: float = 100.0

    def bot(self, bot: str) -> Limit:
        """Return the limit of a bot."""
        return Limit.per(f"bot:{bot}", self.bot_per_second, 1.0)

    def chat(self, bot: str, chat_id: int) -> Limit:
        """Return the limit of a chat: of a group (any negative id), no 60 s hold more than its rate."""
        key = f"chat:{bot}:{chat_id}"
        if chat_id > 0:
            return Limit.per(key, self.private_chat_per_second, 1.0)
        return Limit.per(key, self.group_per_minute - self.group_burst, 60.0, self.group_burst)

    def email(self) -> Limit:
        """Return the limit of all e-mail."""
        return Limit.per("email", self.email_per_minute, 60.0)

    def ahead(self, lane: Lane, shared: Limit) -> float:
        """Return how many seconds ahead a lane may reserve: a lower lane only two slots."""
        return 1.0 if lane is Lane.TRANSACTIONAL else min(1.0, 2 * shared.interval)

    def work_ahead(self, channels: Sequence[Channel]) -> int:
        """Return how many campaign messages may wait: some minutes of the slowest channel's work."""
        rates = {Channel.TELEGRAM: 60 * self.bot_per_second, Channel.EMAIL: self.email_per_minute}
        slowest = min(rates.get(channel, MOST_AHEAD) for channel in channels)
        return round(min(max(MINUTES_AHEAD * slowest, LEAST_AHEAD), MOST_AHEAD))


@dataclass(frozen=True)
class Reservation:
    """`go`: the slot is ours, `wait` seconds from now; otherwise ask again after `wait` seconds."""

    go: bool
    wait: float


def reserve(tat: float, now: float, limit: Limit, ahead: float) -> tuple[Reservation, float]:
    """Reserve on one key: return the answer and the key's new tat. The database does the same in SQL."""
    send_at = max(now, tat - limit.tolerance)
    wait = send_at - now
    if wait > ahead:
        return Reservation(go=False, wait=wait), tat
    return Reservation(go=True, wait=wait), max(tat, send_at) + limit.interval
