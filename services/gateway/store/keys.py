"""API keys: made, looked up, revoked; the key itself is shown once and never kept."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.gateway.domain.keys import Rate, digest_of, key_of
from services.gateway.domain.roles import KeyRole
from services.gateway.store.turns import Turns
from shared import ids
from shared.database import Database

_CREATE = text("""
    INSERT INTO api_keys (id, name, role, sha256) VALUES (:id, :name, :role, :sha256)
    RETURNING id, name, role, created_at, last_used_at, revoked_at""")

# A key in constant use is written to once a minute, unless somebody has its row locked. What it may do at
# once is told by when its bucket is full again, which all replicas read and write in one row.
_USE = text("""
    WITH moment AS MATERIALIZED (SELECT set_config('lock_timeout', :patience, true)),
    known AS (
        SELECT id, name, role, created_at, last_used_at, revoked_at
        FROM api_keys, moment WHERE sha256 = :sha256 AND revoked_at IS NULL
    ), due AS (
        SELECT api_keys.id FROM api_keys JOIN known USING (id)
        WHERE known.last_used_at IS NULL OR known.last_used_at < now() - interval '1 minute'
        FOR NO KEY UPDATE OF api_keys SKIP LOCKED
    ), used AS (
        UPDATE api_keys SET last_used_at = now() FROM due WHERE api_keys.id = due.id
    ), taken AS (
        INSERT INTO api_key_rates AS rate (api_key_id, full_at)
        SELECT id, clock_timestamp() + make_interval(secs => :step) FROM known WHERE :step > 0
        ON CONFLICT (api_key_id) DO UPDATE
        SET full_at = greatest(rate.full_at, clock_timestamp()) + make_interval(secs => :step)
        WHERE rate.full_at <= clock_timestamp() + make_interval(secs => :room)
        RETURNING 1
    )
    SELECT known.*, :step = 0 OR EXISTS (SELECT FROM taken) AS may,
           extract(epoch FROM rate.full_at - clock_timestamp()) - :room AS wait
    FROM known LEFT JOIN api_key_rates AS rate ON rate.api_key_id = known.id""")

_REVOKE = text("""
    UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = :id
    RETURNING id, name, role, created_at, last_used_at, revoked_at""")

_LIST = text("""
    SELECT id, name, role, created_at, last_used_at, revoked_at FROM api_keys ORDER BY created_at, id""")


class UnknownKey(LookupError):
    """There is no key of that id."""


class TooOften(Exception):
    """A key was used more often than it may be; it may be again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key."""

    id: UUID
    name: str
    role: KeyRole
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class Keys:
    """The API keys, in gateway's database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns = Turns()

    async def create_key(self, entropy: bytes, name: str, role: KeyRole) -> tuple[ApiKey, str]:
        """Make a key of 32 random bytes; return what is known of it, and the key, which is kept nowhere."""
        key = key_of(entropy)
        digest = digest_of(key)
        row = await self._database.row(
            _CREATE, id=ids.derived("api key", digest.hex()), name=name, role=role.word, sha256=digest
        )
        assert row is not None  # noqa: S101 - the statement always returns a row
        return _read(row), key

    async def revoke_key(self, key_id: UUID) -> ApiKey:
        """Revoke a key, from the next request on; raises UnknownKey."""
        row = await self._database.row(_REVOKE, id=key_id)
        if row is None:
            raise UnknownKey(key_id)
        return _read(row)

    async def list_keys(self) -> list[ApiKey]:
        """Return every key there is and was, the oldest first."""
        return [_read(row) for row in await self._database.rows(_LIST)]

    async def use_key(self, key: str, rate: Rate | None = None) -> ApiKey | None:
        """Return what is known of a key that is valid, and remember that it was used.

        Raises TooOften, and KeyHeld when the database keeps this key waiting; other keys need not.
        """
        step = 1 / rate.per_second if rate else 0.0
        room = step * (rate.burst - 1) if rate else 0.0
        digest = digest_of(key)
        async with self._turns.turn(digest) as patience:
            row = await self._database.row(_USE, sha256=digest, step=step, room=room, patience=patience)
        if row is None:
            return None
        if not row["may"]:
            raise TooOften(max(float(row["wait"] or 0), 0.0))
        return _read(row)


def _read(row: RowMapping) -> ApiKey:
    return ApiKey(
        id=row["id"], name=row["name"], role=KeyRole.of(row["role"]), created_at=row["created_at"],
        last_used_at=row["last_used_at"], revoked_at=row["revoked_at"],
    )  # fmt: skip
