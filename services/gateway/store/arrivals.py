"""Updates as they arrive, and whoever sent them: what comes in the same moment is written down together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.gateway.store.seen import Seen
from services.gateway.store.update_log import Logged, UpdateLog
from services.gateway.store.users import User, Users
from shared.events import UpdateHandled
from shared.gathering import Gathering


@dataclass(frozen=True)
class Arrival:
    """An update, and the person whom it shows."""

    line: Logged
    seen: Seen | None


@dataclass(frozen=True)
class Arrived:
    """What the tables know of an arrival: whether all was done that it asks for, and who sent it."""

    settled: bool
    user: User | None


class Arrivals:
    """Writes down what arrives and what was done with it."""

    def __init__(self, log: UpdateLog, users: Users) -> None:
        self._log = log
        self._users = users
        self._taking = Gathering("updates", self.take_all, lambda each: each.line.key)
        self._settling = Gathering("handled", self.settle_all, lambda each: (each.bot_id, each.update_id))

    async def take(self, arrival: Arrival) -> Arrived:
        """Write an update down and register who sent it, unless it is settled already."""
        return await self._taking.one(arrival)

    async def settle(self, done: UpdateHandled) -> None:
        """Write down what was done."""
        await self._settling.one(done)

    async def take_all(self, arrivals: Sequence[Arrival]) -> list[Arrived]:
        """Write updates down and register who sent them, but for those that are settled already."""
        settled = await self._written([each.line for each in arrivals])
        known = await self._users.meet(_seen(arrivals, settled))
        return [
            Arrived(
                settled=each.line.key in settled,
                user=known.get(each.seen.person.telegram_id) if each.seen else None,
            )
            for each in arrivals
        ]

    async def write_down(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Write updates down and register who sent them; say of each whether it is settled already."""
        settled = await self._written([each.line for each in arrivals])
        await self._users.register(_seen(arrivals, settled))
        return [each.line.key in settled for each in arrivals]

    async def _written(self, lines: Sequence[Logged]) -> set[tuple[int, int]]:
        """Write updates down, and return those that were there and are settled."""
        new = await self._log.add_new(lines)
        old = [line for line in lines if line.key not in new]
        return await self._log.settled_among(old) if old else set()

    async def settle_all(self, done: Sequence[UpdateHandled]) -> list[None]:
        """Write down what was done with updates."""
        await self._log.settle(done)
        return [None for _ in done]


def _seen(arrivals: Sequence[Arrival], settled: Collection[tuple[int, int]]) -> list[Seen]:
    """Return who was seen by what is not settled."""
    return [each.seen for each in arrivals if each.seen is not None and each.line.key not in settled]
