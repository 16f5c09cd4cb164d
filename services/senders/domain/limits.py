"""Rate limits as numbers, and the reservation of a slot as arithmetic (GCRA).

A key's `tat` is the theoretical arrival time of its next slot. Slots of a limit of n per period lie a
little more than period / n apart, and each is good for one such interval: who comes later gives it up. So at
most one slot is overdue at any time, and any window of one period holds at most n + b sends (burst b, 1 by
default), however they were delayed; the little more is what the way to the provider may vary by.

Lanes differ in how far ahead they may reserve: a higher lane takes what a lower one has to leave for later.
A lower lane that has not had its share of the budget may reach further than any other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from shared.events import Channel, Lane

SPACING = 1.02
"""Slots lie this much further apart than the limit demands."""
SHARE = 0.06
"""What each lower lane always keeps of a budget: a little more than the promised twentieth."""
SHARE_BURST = 3
SLOTS_AHEAD = {Lane.TRANSACTIONAL: 3.0, Lane.PROMO: 2.5, Lane.CAMPAIGN: 2.0}
"""Two for the lowest: who asks a moment late for one slot has the next one, and none goes by unasked for."""
SECONDS_AHEAD = {Lane.TRANSACTIONAL: 1.0, Lane.PROMO: 2 / 3, Lane.CAMPAIGN: 1 / 3}
"""At most, where slots are far apart."""
_SHARE_SLOTS, _SHARE_SECONDS = 4.0, 4 / 3
LEAST_SECONDS_LATE = 0.03
"""Nobody can be more punctual than this; no limit is so tight that it matters."""

DRIFT = 1e-4
"""Seconds by which clocks part in a second, at most."""

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
        interval = SPACING * seconds / count
        return cls(key, interval, (burst - 1) * interval)

    @property
    def kind(self) -> str:
        """What is limited: `bot`, `chat`, `email` or `domain`; for labels."""
        return self.key.partition(":")[0]

    @property
    def late(self) -> float:
        """How many seconds after its time a slot may still be used."""
        return max(self.interval, LEAST_SECONDS_LATE)


@dataclass(frozen=True)
class Reach:
    """How many seconds ahead a lane may reserve; further while its `share` of the budget is not used up."""

    ahead: float
    share: Limit | None = None
    share_ahead: float = 0.0


@dataclass(frozen=True)
class Limits:
    """The numbers of all limits; `on` false lifts them, but for pauses that a provider asks for."""

    bot_per_second: float = 20.0
    private_chat_per_second: float = 1.0
    group_per_minute: float = 20.0
    group_burst: int = 1
    email_per_minute: float = 100.0
    email_domain_per_minute: float = 100.0
    on: bool = True

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

    def domain(self, address: str) -> Limit:
        """Return the limit of the mail domain of an address."""
        name = address.rpartition("@")[2].casefold()
        return Limit.per(f"domain:{name}", self.email_domain_per_minute, 60.0)

    def reach(self, lane: Lane, shared: Limit) -> Reach:
        """Return how far ahead a lane may reserve on a limit that is shared with other lanes."""
        ahead = min(SECONDS_AHEAD[lane], SLOTS_AHEAD[lane] * shared.interval)
        if lane is Lane.TRANSACTIONAL:
            return Reach(ahead)
        interval = shared.interval / SHARE
        share = Limit(f"share:{lane}:{shared.key}", interval, (SHARE_BURST - 1) * interval)
        return Reach(ahead, share, min(_SHARE_SECONDS, _SHARE_SLOTS * shared.interval))

    def work_ahead(self, channels: Sequence[Channel]) -> int:
        """Return how many campaign messages may wait: some minutes of the slowest channel's work."""
        if not self.on:
            return MOST_AHEAD
        rates = {Channel.TELEGRAM: 60 * self.bot_per_second, Channel.EMAIL: self.email_per_minute}
        slowest = min(rates.get(channel, MOST_AHEAD) for channel in channels)
        return round(min(max(MINUTES_AHEAD * slowest, LEAST_AHEAD), MOST_AHEAD))


PRESETS: Mapping[str, Limits] = {
    "default": Limits(),
    "ceiling": Limits(bot_per_second=30.0),
    "strict": Limits(bot_per_second=0.5, email_per_minute=1 / 6),
    "off": Limits(on=False),
}


@dataclass(frozen=True)
class Reservation:
    """`go`: the slot is ours, `wait` seconds from now; otherwise ask again after `wait` seconds.

    `own` says that the recipient's own limit is in the way, not the shared one. `at` is when the answer was
    found, by the governor's clock.
    """

    go: bool
    wait: float
    own: bool = False
    at: float = 0.0


@dataclass
class Bearing:
    """Where another clock stands to ours: what is added to its time to get ours lies between two bounds.

    Every question and its answer narrow the bounds; clocks may drift, so they widen with time. A clock that
    was set is found anew.
    """

    least: float = -inf
    most: float = inf
    taken_at: float = 0.0

    def take(self, asked: float, theirs: float, answered: float) -> None:
        """Learn that their clock showed a time after we asked and before we were answered."""
        drift = DRIFT * max(0.0, answered - self.taken_at)
        self.least = max(self.least - drift, asked - theirs)
        self.most = min(self.most + drift, answered - theirs)
        self.taken_at = answered
        if self.least > self.most:
            self.least, self.most = asked - theirs, answered - theirs


def reserve(tat: float, now: float, limit: Limit, ahead: float) -> tuple[Reservation, float]:
    """Reserve on one key: return the answer and the key's new tat. The database does the same in SQL."""
    send_at = max(now, tat - limit.tolerance)
    wait = send_at - now
    if wait > ahead:
        return Reservation(go=False, wait=wait - ahead), tat
    return Reservation(go=True, wait=wait), max(tat, send_at) + limit.interval


def reaching(share_tat: float, now: float, reach: Reach) -> tuple[float, float]:
    """Return how far ahead a lane may reserve now, and its share's new tat should it get a slot."""
    if reach.share is None:
        return reach.ahead, share_tat
    # What it gets beyond its share is not held against it later.
    counted = min(max(share_tat, now - reach.share.tolerance), now) + reach.share.interval
    return (reach.share_ahead if share_tat <= now else reach.ahead), counted
