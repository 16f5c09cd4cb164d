"""The governor: one budget for all replicas, reserved in the database by its clock."""

from collections.abc import Sequence

from sqlalchemy import text

from services.senders.domain.limits import Limit, Reservation
from shared.database import Database

KNOWN_KEYS = 100_000
SEVERAL_CHATS = 2
"""So many chats of one bot throttled within a second mean that the bot is."""

_ADD_KEYS = text("""
    INSERT INTO governor (key, tat) SELECT unnest(CAST(:keys AS text[])), to_timestamp(0)
    ON CONFLICT (key) DO NOTHING""")

# The first key is shared: a slot on it may be reserved ahead. The others are the recipient's own: a slot that
# is not free yet would hold the shared one idle, so it is not reserved.
_RESERVE = text("""
    WITH asked AS (
        SELECT * FROM unnest(CAST(:keys AS text[]), CAST(:intervals AS float8[]),
                             CAST(:tolerances AS float8[]))
             WITH ORDINALITY AS k(key, step, tolerance, place)),
    locked AS MATERIALIZED (
        SELECT g.key, g.tat, g.paused_until, k.step, k.tolerance, k.place
        FROM governor g JOIN asked k USING (key) ORDER BY g.key FOR UPDATE OF g),
    moment AS MATERIALIZED (SELECT clock_timestamp() AS now, count(*) AS keys FROM locked),
    free AS (
        SELECT max(greatest(tat - make_interval(secs => tolerance), coalesce(paused_until, '-infinity')))
                   FILTER (WHERE place = 1) AS shared_at,
               max(greatest(tat - make_interval(secs => tolerance), coalesce(paused_until, '-infinity')))
                   FILTER (WHERE place > 1) AS own_at
        FROM locked),
    decided AS (
        SELECT now, greatest(now, shared_at) AS send_at, greatest(now, shared_at, own_at) AS free_at,
               coalesce(own_at, '-infinity') <= greatest(now, shared_at)
               AND greatest(now, shared_at) - now <= make_interval(secs => :ahead) AS go
        FROM free, moment WHERE moment.keys = cardinality(CAST(:keys AS text[]))),
    reserved AS (
        UPDATE governor g SET tat = greatest(l.tat, d.send_at) + make_interval(secs => l.step)
        FROM locked l, decided d WHERE g.key = l.key AND d.go RETURNING g.key)
    SELECT go, CAST(extract(epoch FROM CASE WHEN go THEN send_at ELSE free_at END - now) AS float8) AS wait
    FROM decided""")

_PAUSE = text("""
    UPDATE governor SET paused_until = greatest(coalesce(paused_until, '-infinity'),
                                                clock_timestamp() + make_interval(secs => :seconds)),
           paused_at = clock_timestamp()
    WHERE key = :key""")

_PAUSED_CHATS = text("""
    SELECT count(*) FROM governor
    WHERE starts_with(key, :prefix) AND paused_at > now() - interval '1 second'""")


class Governor:
    """Reserves slots and keeps pauses, for every replica."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[str] = set()

    async def reserve(self, limits: Sequence[Limit], *, ahead: float) -> Reservation:
        """Reserve a slot on all keys at once, the first of which is shared; `ahead` in seconds."""
        keys = [limit.key for limit in limits]
        if not self._known.issuperset(keys):
            await self._database.execute(_ADD_KEYS, keys=keys)
            if len(self._known) > KNOWN_KEYS:
                self._known.clear()
            self._known.update(keys)
        row = await self._database.row(
            _RESERVE,
            keys=keys,
            intervals=[limit.interval for limit in limits],
            tolerances=[limit.tolerance for limit in limits],
            ahead=ahead,
        )
        if row is None:
            # Somebody removed a key: it is added again next time.
            self._known.clear()
            return Reservation(go=False, wait=0.05)
        return Reservation(go=row["go"], wait=max(0.0, row["wait"]))

    async def pause(self, key: str, seconds: float, *, bot_key: str, chat_prefix: str) -> bool:
        """Pause a chat for every replica; the whole bot when several of its chats report within a second.

        Return whether the bot was paused.
        """
        await self._database.execute(_PAUSE, key=key, seconds=seconds)
        if await self._database.value(_PAUSED_CHATS, prefix=chat_prefix) < SEVERAL_CHATS:
            return False
        await self._database.execute(_PAUSE, key=bot_key, seconds=seconds)
        return True

    async def pause_key(self, key: str, seconds: float) -> None:
        """Pause one key for every replica."""
        await self._database.execute(_ADD_KEYS, keys=[key])
        await self._database.execute(_PAUSE, key=key, seconds=seconds)
