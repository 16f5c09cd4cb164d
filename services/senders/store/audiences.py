"""Who may be reached: audiences of the directory, and over which channel an entry is reached first."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.senders.domain.campaigns import Share
from shared.database import Database
from shared.events import Channel
from shared.queries import Audience

SAMPLE = 10_000
"""Of a longer list so many entries are looked at, evenly spread."""

# Where somebody of the directory can be reached, and is not on the suppression list.
_HAS_TELEGRAM = """
    (r.telegram_chat_id IS NOT NULL AND NOT 'telegram' = ANY(r.muted) AND NOT EXISTS (
        SELECT 1 FROM suppressions s WHERE s.channel = 'telegram'
        AND s.address = coalesce(CAST(:bot AS text), r.bot, :default_bot) || ':' || r.telegram_chat_id))"""
_HAS_EMAIL = """
    (r.email IS NOT NULL AND NOT 'email' = ANY(r.muted) AND NOT EXISTS (
        SELECT 1 FROM suppressions s WHERE s.channel = 'email' AND s.address = lower(r.email)))"""
_HAS_PUSH = """
    (NOT 'push' = ANY(r.muted) AND EXISTS (SELECT 1 FROM push_subscriptions p WHERE p.user_id = r.user_id))"""

_OF_AUDIENCE = """
    (cardinality(CAST(:roles AS text[])) = 0 OR r.role = ANY(CAST(:roles AS text[])))
    AND (CAST(:language AS text) IS NULL OR r.language = :language
         OR starts_with(r.language, CAST(:language AS text) || '-'))
    AND NOT r.opted_out AND r.linked_to IS NULL"""

REACHABLE = f"""
    {_OF_AUDIENCE}
    AND ('telegram' = ANY(CAST(:channels AS text[])) AND {_HAS_TELEGRAM}
         OR 'email' = ANY(CAST(:channels AS text[])) AND {_HAS_EMAIL}
         OR 'push' = ANY(CAST(:channels AS text[])) AND {_HAS_PUSH})"""
"""The condition on a row `r` of `recipients`; takes what `of_audience` gives."""

# The first channel of the chain with an address; what shares a limit is counted together.
_SHARES = """
    SELECT channel, sum(recipients)::int AS recipients, max(recipients)::int AS most FROM (
        SELECT first.channel, count(*) AS recipients
        FROM ({entries}) AS entry
        CROSS JOIN LATERAL (
            SELECT each.channel, CASE each.channel WHEN 'telegram' THEN entry.bot
                                 WHEN 'email' THEN entry.domain END AS together
            FROM unnest(CAST(:channels AS text[])) WITH ORDINALITY AS each(channel, place)
            WHERE CASE each.channel WHEN 'telegram' THEN entry.telegram WHEN 'email' THEN entry.email
                  ELSE entry.push END
            ORDER BY each.place LIMIT 1) AS first
        GROUP BY first.channel, first.together) AS counted
    GROUP BY channel"""
_DOMAIN = "lower(split_part({}, '@', 2))"
_BOT = "coalesce(CAST(:bot AS text), r.bot, :default_bot)"
_OF_DIRECTORY = f"""
    SELECT {_HAS_TELEGRAM} AS telegram, {_HAS_EMAIL} AS email, {_HAS_PUSH} AS push, {_BOT} AS bot,
           {_DOMAIN.format("r.email")} AS domain
    FROM recipients r WHERE {_OF_AUDIENCE}"""  # noqa: S608 - constants
_SHARES_OF_AUDIENCE = text(_SHARES.format(entries=_OF_DIRECTORY))
_WILLING = "coalesce(NOT r.opted_out, true)"
_OF_LIST = f"""
    SELECT {_WILLING} AND (l.address ->> 'telegram_chat_id' IS NOT NULL OR {_HAS_TELEGRAM}) AS telegram,
           {_WILLING} AND (l.address ->> 'email' IS NOT NULL OR {_HAS_EMAIL}) AS email,
           {_WILLING} AND {_HAS_PUSH} AS push, {_BOT} AS bot,
           {_DOMAIN.format("coalesce(l.address ->> 'email', r.email)")} AS domain
    FROM campaign_recipients l LEFT JOIN recipients r ON r.user_id = l.user_id
    WHERE l.campaign_id = :id AND l.position = ANY(CAST(:positions AS int[]))"""  # noqa: S608 - constants
_SHARES_OF_LIST = text(_SHARES.format(entries=_OF_LIST))
_COUNT = text(f"SELECT count(*) FROM recipients r WHERE {_OF_AUDIENCE}")  # noqa: S608 - a constant


def of_audience(
    audience: Audience, channels: Sequence[str], bot: str | None, default_bot: str | None
) -> dict[str, Any]:
    """Return the parameters of an audience's condition."""
    return {
        "roles": list(audience.roles),
        "language": audience.language,
        "channels": [str(channel) for channel in channels],
        "bot": bot,
        "default_bot": default_bot or "",
    }


class Audiences:
    """How many a campaign will reach, by the directory as it is now."""

    def __init__(self, database: Database, default_bot: str | None = None) -> None:
        self._database = database
        self._default_bot = default_bot

    async def of_directory(
        self, audience: Audience, channels: Sequence[str], bot: str | None
    ) -> tuple[int, list[Share]]:
        """Return how many belong to an audience, and how many each channel reaches."""
        parameters = of_audience(audience, channels, bot, self._default_bot)
        size = {name: parameters[name] for name in ("roles", "language")}
        shares = _shares(await self._database.rows(_SHARES_OF_AUDIENCE, **parameters))
        return int(await self._database.value(_COUNT, **size)), shares

    async def of_list(
        self, campaign_id: UUID, intended: int, channels: Sequence[str], bot: str | None
    ) -> list[Share]:
        """Return how many of a list each channel reaches; of a long list a sample is looked at."""
        step = max(1, -(-intended // SAMPLE))
        positions = list(range(0, intended, step))
        rows = await self._database.rows(
            _SHARES_OF_LIST,
            id=campaign_id,
            positions=positions,
            channels=[str(channel) for channel in channels],
            bot=bot,
            default_bot=self._default_bot or "",
        )
        times = intended / len(positions) if positions else 1.0
        return _shares(rows, times)


def _shares(rows: Sequence[RowMapping], times: float = 1.0) -> list[Share]:
    return [
        Share(Channel(row["channel"]), round(row["recipients"] * times), round(row["most"] * times))
        for row in rows
    ]
