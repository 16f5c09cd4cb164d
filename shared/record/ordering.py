"""What was done with an update comes behind the update in the stream, where one of them was stored anew."""

from shared.bus import Bus, Stored
from shared.bus.envelope import MSG_ID
from shared.events import update_id_of
from shared.record.saying import fields_of

AGAIN = "~"
"""In the broker's id of a message that was stored once more."""


async def put_behind(bus: Bus) -> int:
    """Store once more what was done with updates that are stored behind it; return how much that was.

    Whoever stores an update anew may die before he does so with what follows: this mends it at any time.
    """
    cut = (await bus.streams.cut())["UPDATES"]
    updates: dict[str, int] = {}
    async for stored in bus.streams.read("UPDATES", "updates.>", up_to=cut, headers_only=True):
        if AGAIN in stored.headers.get(MSG_ID, ""):
            updates[stored.event_key] = stored.sequence
    last: dict[str, Stored] = {}
    if updates:
        async for stored in bus.streams.read("UPDATES", "handled.>", up_to=cut):
            if (update := _update_of(stored)) in updates:
                last[update] = stored
    before = [each for update, each in last.items() if each.sequence < updates[update]]
    for stored in before:
        await bus.streams.store_again(stored, stored.payload, f"behind {updates[_update_of(stored)]}")
        await bus.streams.erase("UPDATES", stored.sequence)
    return len(before)


def _update_of(stored: Stored) -> str:
    """Return the id of the update that something was done with."""
    fields = fields_of(stored.payload)
    try:
        return str(update_id_of(int(fields["bot_id"]), int(fields["update_id"])))
    except (KeyError, TypeError, ValueError):
        return ""
