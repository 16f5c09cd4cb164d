"""Updates as they arrive, and whoever sent them: what comes in the same moment is written down together."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.gateway.store.update_log import Logged, UpdateLog
from services.gateway.store.users import Seen, User, Users
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
        self._taking = Gathering(
            "updates", self.take_all, lambda each: (each.line.bot_id, each.line.update_id)
        )
        self._settling = Gathering("handled", self.settle_all, lambda each: (each.bot_id, each.update_id))

    async def take(self, arrival: Arrival) -> Arrived:
        """Write an update down and register who sent it, unless it is settled already."""
        return await self._taking.one(arrival)

    async def settle(self, done: UpdateHandled) -> None:
        """Write down what was done."""
        await self._settling.one(done)

    async def take_all(self, arrivals: Sequence[Arrival]) -> list[Arrived]:
        """Write updates down and register who sent them, but for those that are settled already."""
        settled = await self._log.settled_among([each.line for each in arrivals])
        fresh = [each for each in arrivals if (each.line.bot_id, each.line.update_id) not in settled]
        await self._log.add([each.line for each in fresh])
        seen = [each.seen for each in fresh if each.seen is not None]
        await self._users.register(seen)
        known = await self._users.all_of([each.person.telegram_id for each in seen])
        return [
            Arrived(
                settled=(each.line.bot_id, each.line.update_id) in settled,
                user=known.get(each.seen.person.telegram_id) if each.seen else None,
            )
            for each in arrivals
        ]

    async def settle_all(self, done: Sequence[UpdateHandled]) -> list[None]:
        """Write down what was done with updates."""
        await self._log.settle(done)
        return [None for _ in done]
