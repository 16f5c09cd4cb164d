"""What the simulator remembers of calls, sends and answers: rings of bounded length, and counters."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from devstack.telegram.world import Message
from shared.markdown import Entity

T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class Moment:
    """A point in time, by the wall (`time`) and by a clock that never goes back (`monotonic`)."""

    time: float
    monotonic: float


@dataclass(slots=True, frozen=True)
class Sent:
    """An accepted send: when its request arrived, when it took effect, and what it said then."""

    arrived: Moment
    took_effect: Moment
    bot_id: int
    message: Message
    text: str | None
    entities: tuple[Entity, ...]
    reply_markup: dict[str, Any] | None
    via: str


@dataclass(slots=True, frozen=True)
class Called:
    """One call and its result; `status` is 0 where the connection was reset instead of an answer."""

    arrived: Moment
    answered: Moment
    bot_id: int
    method: str
    chat_id: int | None
    status: int
    description: str
    fault: str | None
    via: str


@dataclass(slots=True, frozen=True)
class Answered:
    """An answerCallbackQuery that was accepted."""

    at: Moment
    bot_id: int
    callback_query_id: str
    text: str
    show_alert: bool
    url: str
    cache_time: int
    via: str


class Ring(Generic[T]):
    """The last `keep` records, numbered from 1."""

    def __init__(self, keep: int) -> None:
        self.total = 0
        self._kept: deque[T] = deque(maxlen=keep)

    def add(self, record: T) -> None:
        """Remember a record under the next number."""
        self.total += 1
        self._kept.append(record)

    def since(self, number: int) -> Iterator[tuple[int, T]]:
        """Yield the numbered records that came after that number and are still kept."""
        first = self.total - len(self._kept) + 1
        start = max(0, number + 1 - first)
        yield from enumerate(islice(self._kept, start, None), first + start)


class Records:
    """Everything that was asked of the simulator and what came of it."""

    def __init__(self, keep: int) -> None:
        self.sent: Ring[Sent] = Ring(keep)
        self.calls: Ring[Called] = Ring(keep)
        self.answers: Ring[Answered] = Ring(keep)
        self.by_method: Counter[tuple[str, int]] = Counter()
        self.by_chat: Counter[int] = Counter()

    def call(self, called: Called) -> None:
        """Remember a call and count its result."""
        self.calls.add(called)
        self.by_method[called.method, called.status] += 1

    def send(self, sent: Sent) -> None:
        """Remember a send and count it for its chat."""
        self.sent.add(sent)
        self.by_chat[sent.message.chat.id] += 1

    def totals(self) -> dict[str, Any]:
        """Return the counters as a JSON value."""
        methods: dict[str, dict[str, int]] = {}
        for (method, status), count in sorted(self.by_method.items()):
            methods.setdefault(method, {})[str(status)] = count
        return {
            "methods": methods,
            "messages_by_chat": {str(chat): count for chat, count in self.by_chat.items()},
            "messages": self.sent.total,
            "calls": self.calls.total,
            "answers": self.answers.total,
            "too_many_requests": sum(c for (_, status), c in self.by_method.items() if status == 429),
        }
