"""Flood control: approximations of Telegram's unpublished limits, on a clock that is passed in.

Limits are exact: a refused message counts for nothing, and until its retry_after has passed every further
message of the same chat (of the bot, for the limit over all chats) is refused too. Only new messages count.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from devstack.telegram.refusals import too_many_requests

MOST_CHATS = 100_000


class Limit(Protocol):
    """How many messages may pass, and when."""

    def wait(self, now: float) -> float:
        """Return the seconds until the next one may pass."""

    def take(self, at: float) -> None:
        """Count one that passes at that time."""


class Bucket:
    """`rate` a second, and up to `burst` at once after a rest."""

    def __init__(self, rate: float, burst: int) -> None:
        self._interval = 1 / rate
        self._slack = (burst - 1) * self._interval
        self._due = -1e18

    def wait(self, now: float) -> float:
        """Return the seconds until the bucket holds a token."""
        return max(0.0, self._due - self._slack - now)

    def take(self, at: float) -> None:
        """Take a token."""
        self._due = max(self._due, at) + self._interval


class Window:
    """Never more than `count` in any `seconds`."""

    def __init__(self, count: int, seconds: float) -> None:
        self._seconds = seconds
        self._passed: deque[float] = deque(maxlen=count)

    def wait(self, now: float) -> float:
        """Return the seconds until the oldest has left the window."""
        if self._passed.maxlen != len(self._passed):
            return 0.0
        return max(0.0, self._passed[0] + self._seconds - now)

    def take(self, at: float) -> None:
        """Count one in the window."""
        self._passed.append(at)


class Gate:
    """A limit, and until when it stays shut after a refusal."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._shut_until = -1e18

    def wait(self, now: float) -> float:
        """Return the seconds until the next message may pass."""
        return max(self.limit.wait(now), self._shut_until - now, 0.0)

    def shut(self, until: float, now: float) -> None:
        """Let nothing pass until then; a refusal while it is shut changes nothing."""
        if self._shut_until <= now:
            self._shut_until = until


@dataclass(frozen=True)
class Rules:
    """The limits; waits of at most `hidden_seconds` are held and then succeed, as Telegram does up to 8 s."""

    enabled: bool = True
    private_rate: float = 1.0
    private_burst: int = 3
    group_count: int = 20
    group_seconds: float = 60.0
    global_rate: float = 30.0
    global_burst: int = 30
    paid_rate: float = 1000.0
    hidden_seconds: float = 0.0


class Flood:
    """The limits at work, for every bot and chat."""

    def __init__(self, rules: Rules) -> None:
        self.change(rules)

    def change(self, rules: Rules) -> None:
        """Take new rules and forget what has passed."""
        self.rules = rules
        self._over_chats: dict[tuple[int, bool], Gate] = {}
        self._chats: dict[tuple[int, int], Gate] = {}

    def admit(self, bot_id: int, chat_id: int, *, private: bool, paid: bool, now: float) -> float:
        """Let a message pass and return the seconds to hold it (0 unless waits are hidden).

        Raises Refused with 429 where it may not.
        """
        if not self.rules.enabled:
            return 0.0
        gates = self._over_all(bot_id, paid=paid), self._in_chat(bot_id, chat_id, private=private)
        hold, strictest = max(((gate.wait(now), gate) for gate in gates), key=lambda each: each[0])
        if hold > self.rules.hidden_seconds:
            refused = too_many_requests(hold)
            strictest.shut(now + (refused.parameters or {})["retry_after"], now)
            raise refused
        for gate in gates:
            gate.limit.take(now + hold)
        return hold

    def _over_all(self, bot_id: int, *, paid: bool) -> Gate:
        key = (bot_id, paid)
        if key not in self._over_chats:
            rate = self.rules.paid_rate if paid else self.rules.global_rate
            burst = max(1, int(rate)) if paid else self.rules.global_burst
            self._over_chats[key] = Gate(Bucket(rate, burst))
        return self._over_chats[key]

    def _in_chat(self, bot_id: int, chat_id: int, *, private: bool) -> Gate:
        gate = self._chats.get((bot_id, chat_id))
        if gate is None:
            if len(self._chats) >= MOST_CHATS:
                self._chats.pop(next(iter(self._chats)))
            rules = self.rules
            gate = self._chats[bot_id, chat_id] = Gate(
                Bucket(rules.private_rate, rules.private_burst)
                if private
                else Window(rules.group_count, rules.group_seconds)
            )
        return gate
