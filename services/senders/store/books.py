"""The books of senders: what the streams said of messages and deliveries, and what the ledger says."""

from collections.abc import Iterable

from services.senders.store.lists import DIGEST
from services.senders.store.sums import RECOMPUTED
from shared.bus import Stored
from shared.record.books import BEST, Line
from shared.record.saying import Said, Source, fields_of, key_of, outcome
from shared.topology import DURABLES as EVERY_DURABLE


def _outcome(stored: Stored) -> Iterable[Said]:
    fields = fields_of(stored.payload)
    # Without a delivery it is no outcome, whoever put it there: it is a dead letter of those who read them.
    if "delivery_id" in fields:
        yield outcome("delivery", stored, fields, str(fields["delivery_id"]))


def _message(stored: Stored) -> Iterable[Said]:
    fields = fields_of(stored.payload)
    yield Said("message", key_of(stored, fields), parent=str(fields.get("campaign_id") or ""))


SOURCES = (
    Source("TRANSACTIONAL", ("messages.>",), _message),
    Source("CAMPAIGN", ("messages.>",), _message),
    Source("PROMOS", ("promos.due",), _message),
    Source("OUTCOMES", ("outcomes.>",), _outcome),
)

DURABLES = tuple(each.name for each in EVERY_DURABLE if each.service == "senders")

# A message is sent if any of its deliveries is, else ambiguous, pending, failed, suppressed.
_STATE = """
    CASE WHEN bool_or(d.state = 'sent') THEN 'sent' WHEN bool_or(d.state = 'ambiguous') THEN 'ambiguous'
         WHEN {pending} THEN 'pending' WHEN bool_or(d.state = 'failed') THEN 'failed' ELSE 'suppressed' END"""

_REQUESTED = "SELECT DISTINCT key FROM said WHERE source = 'message'"

LINES = (
    Line(
        "messages requested",
        f"SELECT key, '' AS state FROM ({_REQUESTED}) AS requested",  # noqa: S608 - a constant
        "SELECT CAST(id AS text) AS key, '' AS state, false AS open FROM messages",
        DURABLES,
    ),
    Line(
        "messages",
        f"""SELECT m.key, {_STATE.format(pending="count(d.key) = 0 OR NOT bool_or(d.last)")} AS state
            FROM ({_REQUESTED}) AS m
            LEFT JOIN {BEST} AS d ON d.source = 'delivery' AND d.parent = m.key GROUP BY m.key""",  # noqa: S608 - constants
        f"""SELECT CAST(m.id AS text) AS key,
                   {_STATE.format(pending="count(d.id) = 0 OR bool_or(d.state IN ('pending', 'sending'))")}
                   AS state,
                   bool_or(NOT d.announced OR d.state IN ('pending', 'sending')) IS NOT FALSE AS open
            FROM messages m LEFT JOIN deliveries d ON d.message_id = m.id GROUP BY m.id""",  # noqa: S608 - constants
        DURABLES,
        by_state=True,
    ),
    Line(
        "deliveries",
        f"SELECT key, state FROM {BEST} AS best WHERE source = 'delivery'",  # noqa: S608 - a constant
        """SELECT CAST(id AS text) AS key, CASE state WHEN 'sending' THEN 'pending' ELSE state END AS state,
                  NOT announced OR state IN ('pending', 'sending') AS open FROM deliveries""",
        by_state=True,
    ),
    Line(
        "outcomes not told",
        "SELECT CAST(NULL AS text) AS key, '' AS state WHERE false",
        """SELECT CAST(id AS text) AS key, '' AS state, false AS open FROM deliveries
           WHERE NOT announced AND updated_at < now() - interval '30 seconds'""",
    ),
    # Neither an outcome nor waiting nor a dead letter.
    Line(
        "messages lost",
        "SELECT CAST(NULL AS text) AS key, '' AS state WHERE false",
        """SELECT CAST(id AS text) AS key, '' AS state, false AS open FROM messages m
           WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message_id = m.id)""",
    ),
    # intended = in the stream + still to be expanded.
    Line(
        "campaigns intended",
        """SELECT CAST(c.id AS text) AS key,
                  CAST(c.intended - c.expanded + least(c.expanded, count(DISTINCT said.key)) AS text) AS state
           FROM campaigns c
           LEFT JOIN said ON said.source = 'message' AND said.parent = CAST(c.id AS text) GROUP BY c.id""",
        "SELECT CAST(id AS text) AS key, CAST(intended AS text) AS state, false AS open FROM campaigns",
    ),
    # What is told of a campaign is what the ledger says, and its list is what it was counted as.
    Line(
        "campaign sums",
        f"""SELECT concat(campaign_id, ' ', state) AS key, CAST(messages AS text) AS state
            FROM ({RECOMPUTED}) AS ledger""",  # noqa: S608 - constants
        """SELECT concat(campaign_id, ' ', state) AS key, CAST(sum(n) AS text) AS state, false AS open FROM (
               SELECT campaign_id, state, messages AS n FROM campaign_sums
               UNION ALL SELECT campaign_id, is_now, 1 FROM campaign_tallies
               UNION ALL SELECT campaign_id, was, -1 FROM campaign_tallies) AS each
           WHERE state IS NOT NULL GROUP BY campaign_id, each.state HAVING sum(n) <> 0""",
    ),
    Line(
        "campaign lists",
        f"""SELECT CAST(campaign_id AS text) AS key, concat(count(*), ' ', sum({DIGEST})) AS state
            FROM campaign_recipients GROUP BY campaign_id""",  # noqa: S608 - constants
        """SELECT CAST(id AS text) AS key, concat(intended, ' ', list_sum) AS state, false AS open
           FROM campaigns WHERE intended > 0""",
    ),
)
