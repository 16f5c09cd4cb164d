"""The lists of campaigns: entries that come in parts, or from the directory; each recipient once."""

from collections.abc import Sequence
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.domain.campaigns import MOST_RECIPIENTS, key_of
from services.senders.store.audiences import REACHABLE, of_audience
from shared.database import Database
from shared.queries import AddCampaignRecipients, Audience, ListedRecipient, RecipientsAdded
from shared.tasks import Bell

LISTED_AT_ONCE = 5000

_LOCK = text("SELECT * FROM campaigns WHERE id = :id FOR UPDATE")
# An entry's digest is the database's own, so that it can be taken again from the rows.
DIGEST = """
    CAST(CAST('x' || encode(substring(sha256(convert_to(
        jsonb_build_array(position, user_id, address, variables)::text, 'UTF8')) FROM 1 FOR 8), 'hex')
        AS bit(64)) AS bigint)"""
# Both ids of a linked person are one recipient, whichever of them was listed before they were linked.
_IS_NEW = """
    NOT EXISTS (SELECT 1 FROM campaign_recipients r WHERE r.campaign_id = :id AND r.key = o.key)
    AND NOT EXISTS (
        SELECT 1 FROM recipients linked
        JOIN campaign_recipients r ON r.campaign_id = :id AND r.key = linked.user_id
        WHERE linked.linked_to = o.key)"""
_APPEND = text(f"""
    WITH given AS (
        SELECT line, coalesce(known.linked_to, item.key) AS key, item.user_id, address, variables
        FROM unnest(CAST(:lines AS int[]), CAST(:keys AS uuid[]), CAST(:user_ids AS uuid[]),
                    CAST(:addresses AS text[]), CAST(:variables AS text[]))
             AS item(line, key, user_id, address, variables)
        LEFT JOIN recipients known ON known.user_id = item.user_id),
    once AS (SELECT DISTINCT ON (key) * FROM given ORDER BY key, line),
    news AS (
        SELECT o.*, row_number() OVER (ORDER BY line) - 1 + :intended AS position FROM once o
        WHERE {_IS_NEW}),
    added AS (
        INSERT INTO campaign_recipients (campaign_id, position, key, user_id, address, variables)
        SELECT :id, position, key, user_id, CAST(address AS jsonb), CAST(variables AS jsonb) FROM news
        RETURNING position, user_id, address, variables)
    SELECT count(*) AS added, coalesce(sum({DIGEST}), 0) AS list_sum,
           (SELECT coalesce(array_agg(line), '{{}}') FROM news) AS lines
    FROM added""")  # noqa: S608 - constants
_APPEND_AUDIENCE = text(f"""
    WITH chosen AS MATERIALIZED (
        SELECT r.user_id FROM recipients r
        WHERE (CAST(:listed_to AS uuid) IS NULL OR r.user_id > :listed_to) AND {REACHABLE}
        ORDER BY r.user_id LIMIT :limit),
    news AS (
        SELECT o.key AS user_id, row_number() OVER (ORDER BY key) - 1 + :intended AS position
        FROM (SELECT user_id AS key FROM chosen) o WHERE {_IS_NEW}),
    added AS (
        INSERT INTO campaign_recipients (campaign_id, position, key, user_id, variables)
        SELECT :id, position, user_id, user_id, '{{}}' FROM news WHERE position < :most
        RETURNING position, user_id, address, variables)
    SELECT count(*) AS added, coalesce(sum({DIGEST}), 0) AS list_sum,
           (SELECT count(*) FROM chosen) AS chosen, (SELECT count(*) FROM news) AS news,
           (SELECT max(user_id::text)::uuid FROM chosen) AS listed_to
    FROM added""")  # noqa: S608 - constants
_GROW = text("""
    UPDATE campaigns SET intended = intended + :added, duplicates = duplicates + :duplicates,
           list_sum = list_sum + :list_sum WHERE id = :id""")
_PART = text("SELECT reply FROM campaign_parts WHERE campaign_id = :id AND id = :part")
_ADD_PART = text("""
    INSERT INTO campaign_parts (campaign_id, id, reply) VALUES (:id, :part, CAST(:reply AS jsonb))""")
_TO_LIST = text("""
    SELECT * FROM campaigns WHERE status = 'running' AND listing
    ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED""")
_ANY_TO_LIST = text("SELECT EXISTS (SELECT 1 FROM campaigns WHERE status = 'running' AND listing)")
_LISTED = text("""
    UPDATE campaigns SET listed_to = coalesce(:listed_to, listed_to), listing = NOT :is_over,
           version = version + CASE WHEN :is_over THEN 1 ELSE 0 END
    WHERE id = :id""")
_SAME_LIST = text(f"""
    SELECT count(*) = (SELECT intended FROM campaigns WHERE id = :id)
           AND coalesce(sum({DIGEST}), 0) = (SELECT list_sum FROM campaigns WHERE id = :id)
    FROM campaign_recipients WHERE campaign_id = :id""")  # noqa: S608 - constants


class NotADraft(Exception):
    """The campaign has been started, and its list is what it is; `status` tells how far it is."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class TooMany(Exception):
    """The list would be longer than a list may be."""


class Lists:
    """The part of the campaigns that their lists are kept in."""

    def __init__(self, database: Database, default_bot: str | None = None) -> None:
        self._database = database
        self._default_bot = default_bot
        self.moved = Bell()
        """Rung when a campaign is started, held or ended here."""

    async def add_part(self, command: AddCampaignRecipients) -> RecipientsAdded:
        """Add a part of a list to a draft, once; raises NotADraft and TooMany."""
        async with self._database.begin() as connection:
            campaign = await self._locked(connection, command.campaign_id)
            known = await connection.execute(_PART, {"id": campaign["id"], "part": command.cause})
            if (reply := known.scalar()) is not None:
                return RecipientsAdded.model_validate(reply)
            if campaign["status"] != "draft":
                raise NotADraft(campaign["status"])
            added = await self._append(connection, campaign, command.recipients)
            part = {"id": campaign["id"], "part": command.cause, "reply": added.model_dump_json()}
            await connection.execute(_ADD_PART, part)
            return added

    async def list_audience(self) -> bool:
        """List the next part of an audience whose campaign has begun; False when there is none."""
        if not await self._database.value(_ANY_TO_LIST):
            return False
        async with self._database.begin() as connection:
            campaign = (await connection.execute(_TO_LIST)).mappings().first()
            if campaign is None:
                return False
            audience = Audience.model_validate(campaign["audience"])
            parameters = of_audience(audience, campaign["channels"], campaign["bot"], self._default_bot)
            listed = await connection.execute(
                _APPEND_AUDIENCE,
                parameters
                | {
                    "id": campaign["id"],
                    "intended": campaign["intended"],
                    "listed_to": campaign["listed_to"],
                    "limit": LISTED_AT_ONCE,
                    "most": MOST_RECIPIENTS,
                },
            )
            row = listed.mappings().one()
            await _grow(connection, campaign["id"], row, duplicates=row["chosen"] - row["news"])
            is_over = row["chosen"] < LISTED_AT_ONCE or row["added"] < row["news"]
            end = {"id": campaign["id"], "listed_to": row["listed_to"], "is_over": is_over}
            await connection.execute(_LISTED, end)
            return True

    async def is_list_whole(self, campaign_id: UUID) -> bool:
        """Say whether a list still is what it was counted and summed as; reads all of it."""
        return bool(await self._database.value(_SAME_LIST, id=campaign_id))

    async def _locked(self, connection: AsyncConnection, campaign_id: UUID) -> RowMapping:
        """Return a campaign that nobody else changes meanwhile; raises KeyError where there is none."""
        row = (await connection.execute(_LOCK, {"id": campaign_id})).mappings().first()
        if row is None:
            raise KeyError(campaign_id)
        return row

    async def _append(
        self, connection: AsyncConnection, campaign: RowMapping, recipients: Sequence[ListedRecipient]
    ) -> RecipientsAdded:
        """Add entries to the list of a campaign that is locked; whoever is on it already stays once."""
        appended = await connection.execute(
            _APPEND,
            {
                "id": campaign["id"],
                "intended": campaign["intended"],
                "lines": [each.line for each in recipients],
                "keys": [key_of(each) for each in recipients],
                "user_ids": [each.user_id for each in recipients],
                "addresses": [
                    each.address.model_dump_json() if each.address else None for each in recipients
                ],
                "variables": [orjson.dumps(each.variables).decode() for each in recipients],
            },
        )
        row = appended.mappings().one()
        if campaign["intended"] + row["added"] > MOST_RECIPIENTS:
            raise TooMany
        taken = set(row["lines"])
        twice = tuple(each.line for each in recipients if each.line not in taken)
        await _grow(connection, campaign["id"], row, duplicates=len(twice))
        return RecipientsAdded(
            added=row["added"], duplicates=twice, intended=campaign["intended"] + row["added"]
        )


async def _grow(
    connection: AsyncConnection, campaign_id: UUID, added: RowMapping, *, duplicates: int
) -> None:
    grown = {"id": campaign_id, "added": added["added"], "list_sum": added["list_sum"]}
    await connection.execute(_GROW, grown | {"duplicates": duplicates})
