"""What the streams say, by event id, up to a cut."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from shared.bus import Bus, Stored

_RANKS = {"posted": 3, "sent": 3, "failed": 2, "suppressed": 2, "ambiguous": 1}
_STATES = {"posted": "sent"}


@dataclass
class Said:
    """Ids per kind of event; dead letters by durable."""

    presses: set[str] = field(default_factory=set)
    updates: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    promos_due: set[str] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)
    deliveries: set[str] = field(default_factory=set)
    promo_states: dict[str, set[str]] = field(default_factory=dict)
    advisories: int = 0
    dead_letters: int = 0
    _dead: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def dead(self, durable: str) -> set[str]:
        """Return the ids of the dead letters of a durable."""
        return self._dead[durable]

    def dead_of(self, prefix: str) -> set[str]:
        """Return the ids of the dead letters of every durable whose name begins so."""
        return {key for durable, keys in self._dead.items() if durable.startswith(prefix) for key in keys}

    def bury(self, durable: str, payload: bytes, event_key: str) -> None:
        """Take note of a dead letter, under every name that it may go by."""
        names = (event_key, _key(payload, event_key), _update(payload, event_key))
        self._dead[durable].update(names)


async def listen(bus: Bus, cut: dict[str, int]) -> Said:
    """Read every stream up to the cut."""
    said = Said()
    best: dict[str, tuple[tuple[int, int, int], str]] = {}
    async for stored in bus.streams.read("CLICKS", "clicks.pressed", up_to=cut["CLICKS"]):
        _press(said, stored)
    async for stored in bus.streams.read("UPDATES", "updates.*", up_to=cut["UPDATES"]):
        said.updates.add(_update(stored.payload, stored.event_key))
    for stream in ("TRANSACTIONAL", "CAMPAIGN"):
        async for stored in bus.streams.read(stream, "messages.>", up_to=cut[stream]):
            said.messages.add(_key(stored.payload, stored.event_key))
    async for stored in bus.streams.read("PROMOS", "promos.due", up_to=cut["PROMOS"]):
        said.messages.add(_key(stored.payload, stored.event_key))
        said.promos_due.add(_key(stored.payload, stored.event_key))
    async for stored in bus.streams.read("OUTCOMES", "outcomes.>", up_to=cut["OUTCOMES"]):
        _outcome(said, best, stored)
    for key, (_, state) in best.items():
        said.promo_states.setdefault(state, set()).add(key)
    async for given_up in bus.streams.read("DISCARDED", "discarded.*", up_to=cut["DISCARDED"]):
        said.bury(given_up.subject.removeprefix("discarded."), given_up.payload, given_up.event_key)
    async for letter in bus.dead_letters.all():
        said.bury(letter.durable, letter.payload, letter.event_key)
        said.dead_letters += 1
    async for _ in bus.streams.read("ADVISORIES", "$JS.EVENT.>", up_to=cut["ADVISORIES"]):
        said.advisories += 1
    return said


def _press(said: Said, stored: Stored) -> None:
    said.presses.add(_key(stored.payload, stored.event_key))
    press = _read(stored.payload)
    # A press on a button is an update too; a deep link's update is in UPDATES already.
    if press.get("source", "button") == "button" and press.get("update_id") is not None:
        said.updates.add(_update(stored.payload, stored.event_key))


def _outcome(said: Said, best: dict[str, tuple[tuple[int, int, int], str]], stored: Stored) -> None:
    outcome = _read(stored.payload)
    kind = stored.subject.split(".")[1]
    said.outcomes.add(stored.event_key)
    if "delivery_id" not in outcome:
        # Not an outcome, whoever put it there: it is a dead letter of those who read outcomes.
        return
    said.deliveries.add(str(outcome["delivery_id"]))
    if outcome.get("promo"):
        # Sent always wins, otherwise the highest attempt, then the rank.
        key = str(outcome["message_id"])
        weight = (int(kind == "posted"), int(outcome.get("attempt", 0)), _RANKS[kind])
        if key not in best or weight > best[key][0]:
            best[key] = weight, _STATES.get(kind, kind)


def _key(payload: bytes, otherwise: str) -> str:
    """Name an event by its own id, as tables do; its headers may be missing, or be somebody else's."""
    try:
        return str(UUID(_read(payload)["id"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return otherwise


def _update(payload: bytes, event_key: str) -> str:
    """Name an update as the update log does, by bot and number; else by its event."""
    event = _read(payload)
    return f"{event['bot_id']}:{event['update_id']}" if {"bot_id", "update_id"} <= event.keys() else event_key


def _read(payload: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
