"""How campaigns are expanded into messages: one part after the other, by whichever replica takes it."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.senders.domain.policy import LANE_RANK
from shared.database import Database
from shared.events import Lane

LEASE_SECONDS = 3.0
"""Others leave an expansion alone for so long; two that work on one part publish the same events."""

# They take turns: one whose channel is busy does not hold up the others.
TAKE = text("""
    UPDATE campaigns SET looked_at = clock_timestamp(),
           leased_until = clock_timestamp() + make_interval(secs => :lease)
    WHERE id = (SELECT id FROM campaigns
                WHERE status = 'running' AND expanded < intended AND expires_at > clock_timestamp()
                  AND (leased_until IS NULL OR leased_until < clock_timestamp())
                ORDER BY looked_at NULLS FIRST, created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING *""")
CHUNK = text("""
    SELECT * FROM campaign_recipients WHERE campaign_id = :id AND position >= :expanded
    ORDER BY position LIMIT :limit""")
_WAITING = text("""
    SELECT count(*) FROM (
        SELECT 1 FROM deliveries
        WHERE state = 'pending' AND channel = ANY(CAST(:channels AS text[])) AND lane_rank = :rank
          AND due_at < now() + interval '5 minutes' LIMIT :limit) AS waiting""")
_IS_ACCEPTED = text("SELECT EXISTS (SELECT 1 FROM messages WHERE id = :id)")
_EXPANDED = text("""
    UPDATE campaigns SET expanded = greatest(expanded, :expanded), leased_until = NULL WHERE id = :id""")
_FAIL = text("""
    UPDATE campaigns SET status = 'failed', reason = 'invalid', version = version + 1, sweeping = true,
           ended_at = now(), running_since = NULL, leased_until = NULL
    WHERE id = :id AND status = 'running'""")
_LEAVE = text("UPDATE campaigns SET leased_until = NULL WHERE id = :id AND expanded = :expanded")


class Expansion:
    """A campaign that is being expanded: its row, and the next part of its list."""

    def __init__(self, database: Database, campaign: RowMapping, chunk: Sequence[RowMapping]) -> None:
        self._database = database
        self.campaign = campaign
        self.chunk = chunk

    async def waiting(self, limit: int) -> int:
        """Return how many campaign messages wait on this one's channels, counted up to a limit."""
        channels, rank = self.campaign["channels"], LANE_RANK[Lane.CAMPAIGN]
        return int(await self._database.value(_WAITING, channels=channels, rank=rank, limit=limit))

    async def is_accepted(self, message_id: UUID) -> bool:
        """Say whether the ledger knows a message that was published before."""
        return bool(await self._database.value(_IS_ACCEPTED, id=message_id))

    async def done(self) -> None:
        """Note that the part is in the stream; not noted, it is published again under the same ids."""
        expanded = self.campaign["expanded"] + len(self.chunk)
        await self._database.execute(_EXPANDED, id=self.campaign["id"], expanded=expanded)

    async def leave(self) -> None:
        """Let others take the campaign, which has no room yet."""
        await self._database.execute(_LEAVE, id=self.campaign["id"], expanded=self.campaign["expanded"])

    async def fail(self) -> None:
        """End a campaign whose list cannot be made into messages; what waits of it is suppressed."""
        await self._database.execute(_FAIL, id=self.campaign["id"])
