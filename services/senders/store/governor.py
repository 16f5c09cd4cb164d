"""The governor: one budget for all replicas, reserved in the database by its clock."""

from collections.abc import Sequence

from sqlalchemy import text

from services.senders.domain.limits import Limit, Reach, Reservation
from shared.database import Database

SEVERAL_CHATS = 2
"""So many chats of one bot throttled within a second mean that the bot is."""

LEAST_WAIT_SECONDS = 0.002

_ADD_KEYS = text("""
    INSERT INTO governor (key, tat)
    SELECT key, to_timestamp(0) FROM unnest(CAST(:keys AS text[])) AS asked(key) ORDER BY key
    ON CONFLICT (key) DO NOTHING""")

# The first key is shared: a slot on it may be reserved ahead. Those after it are the recipient's own: a slot
# that is not free yet would hold the shared one idle, so it is not reserved. Place 0 is the lane's share.
# A slot is a time at the provider: whoever needs `lead` seconds to get there lives by a clock that is ahead.
# What a crash of the server forgets of reservations is a second's worth: they need no fsync.
_RESERVE = text("""
    WITH asked AS (
        SELECT * FROM unnest(CAST(:keys AS text[]), CAST(:intervals AS float8[]),
                             CAST(:tolerances AS float8[]), CAST(:places AS int[]))
             AS k(key, step, tolerance, place)),
    locked AS MATERIALIZED (
        SELECT g.key, g.tat, k.step, k.tolerance, k.place,
               greatest(g.tat - make_interval(secs => k.tolerance),
                        g.paused_until + make_interval(secs => :lead)) AS free_at
        FROM governor g JOIN asked k USING (key) ORDER BY g.key FOR UPDATE OF g),
    moment AS MATERIALIZED (
        SELECT clock_timestamp() + make_interval(secs => :lead) AS now, clock_timestamp() AS asked_at,
               count(*) AS keys, set_config('synchronous_commit', 'off', true)
        FROM locked),
    free AS (
        SELECT max(free_at) FILTER (WHERE place = 1) AS shared_at,
               coalesce(max(free_at) FILTER (WHERE place > 1), '-infinity') AS own_at,
               coalesce(max(tat) FILTER (WHERE place = 0), 'infinity') AS share_at
        FROM locked),
    reaching AS (
        SELECT now, asked_at, greatest(now, shared_at) AS send_at, own_at, share_at,
               make_interval(secs => :ahead) AS ahead, make_interval(secs => :share_ahead) AS share_ahead
        FROM free, moment WHERE moment.keys = cardinality(CAST(:keys AS text[]))),
    decided AS (
        SELECT *, own_at <= send_at
                  AND send_at - now <= CASE WHEN share_at <= now THEN share_ahead ELSE ahead END AS go,
               least(send_at - ahead, greatest(share_at, send_at - share_ahead)) AS ask_at
        FROM reaching),
    reserved AS (
        UPDATE governor g SET tat = make_interval(secs => l.step) + CASE l.place
            WHEN 0 THEN least(greatest(l.tat, d.now - make_interval(secs => l.tolerance)), d.now)
            ELSE greatest(l.tat, d.send_at) END
        FROM locked l, decided d WHERE g.key = l.key AND d.go RETURNING g.key)
    SELECT go, own_at > send_at AS own,
           CAST(extract(epoch FROM CASE WHEN go THEN send_at ELSE greatest(ask_at, own_at) END - now)
                AS float8) AS wait,
           CAST(extract(epoch FROM asked_at) AS float8) AS at
    FROM decided""")

_PAUSE = text("""
    INSERT INTO governor AS known (key, tat, paused_until, paused_at)
    VALUES (:key, to_timestamp(0), clock_timestamp() + make_interval(secs => :seconds), clock_timestamp())
    ON CONFLICT (key) DO UPDATE
    SET paused_until = greatest(coalesce(known.paused_until, '-infinity'), excluded.paused_until),
        paused_at = clock_timestamp()""")

_PAUSED_CHATS = text("""
    SELECT count(*) FROM governor
    WHERE starts_with(key, :prefix) AND paused_at > now() - interval '1 second'""")

_PAUSED = text("""
    SELECT greatest(0, CAST(extract(epoch FROM max(paused_until) - clock_timestamp()) AS float8))
    FROM governor WHERE key = ANY(CAST(:keys AS text[]))""")

_FORGET = text("""
    DELETE FROM governor WHERE key IN (
        SELECT key FROM governor
        WHERE greatest(tat, paused_until) < now() - interval '1 hour'
        LIMIT 10000 FOR UPDATE SKIP LOCKED)""")


class Governor:
    """Reserves slots and keeps pauses, for every replica."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, limits: Sequence[Limit], reach: Reach) -> None:
        """See to it that every key that will be asked about is there."""
        await self._database.execute(_ADD_KEYS, keys=[limit.key for _, limit in _asked(limits, reach)])

    async def reserve(self, limits: Sequence[Limit], reach: Reach, lead: float = 0.0) -> Reservation:
        """Reserve a slot on all keys at once, the first of which is shared.

        The send takes place `lead` seconds after the wait at the earliest.
        """
        asked = _asked(limits, reach)
        parameters = {
            "keys": [limit.key for _, limit in asked],
            "intervals": [limit.interval for _, limit in asked],
            "tolerances": [limit.tolerance for _, limit in asked],
            "places": [place for place, _ in asked],
            "lead": lead,
            "ahead": reach.ahead,
            "share_ahead": reach.share_ahead,
        }
        while (row := await self._database.row(_RESERVE, **parameters)) is None:
            await self.add(limits, reach)
        least = 0.0 if row["go"] else LEAST_WAIT_SECONDS
        return Reservation(go=row["go"], wait=max(least, row["wait"]), own=row["own"], at=row["at"])

    async def pause(self, key: str, seconds: float, *, bot_key: str, chat_prefix: str) -> bool:
        """Pause a chat for every replica; the whole bot when several of its chats report within a second.

        Return whether the bot was paused.
        """
        await self.pause_key(key, seconds)
        if await self._database.value(_PAUSED_CHATS, prefix=chat_prefix) < SEVERAL_CHATS:
            return False
        await self.pause_key(bot_key, seconds)
        return True

    async def pause_key(self, key: str, seconds: float) -> None:
        """Pause one key for every replica."""
        await self._database.execute(_PAUSE, key=key, seconds=seconds)

    async def paused(self, keys: Sequence[str]) -> float:
        """Return how many seconds are left of the longest pause on these keys."""
        return float(await self._database.value(_PAUSED, keys=list(keys)))

    async def forget(self) -> None:
        """Drop keys that nobody has used for an hour."""
        await self._database.execute(_FORGET)


def _asked(limits: Sequence[Limit], reach: Reach) -> list[tuple[int, Limit]]:
    """Return the limits with their places."""
    return [*enumerate(limits, 1), *([(0, reach.share)] if reach.share else [])]
