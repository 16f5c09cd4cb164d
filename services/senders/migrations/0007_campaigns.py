"""Campaigns as drafts, schedules and audiences, lists that come in parts, and sums that a trigger keeps."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_OLD = "status IN ('running', 'paused', 'cancelled', 'done')"
_NEW = "status IN ('draft', 'scheduled', 'running', 'paused', 'done', 'cancelled', 'failed')"
_COLUMNS = (
    sa.Column("title", sa.Text),
    sa.Column("variables", JSONB, nullable=False, server_default="{}"),
    sa.Column("audience", JSONB),
    sa.Column("owner", sa.Uuid),
    sa.Column("reason", sa.Text),
    sa.Column("joined", sa.Integer, nullable=False, server_default="0"),
    sa.Column("duplicates", sa.Integer, nullable=False, server_default="0"),
    sa.Column("list_sum", sa.Numeric, nullable=False, server_default="0"),
    sa.Column("listing", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.Column("listed_to", sa.Uuid),
    sa.Column("leased_until", _TIME),
    sa.Column("sweeping", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.Column("scheduled_at", _TIME),
    sa.Column("started_at", _TIME),
    sa.Column("ended_at", _TIME),
    sa.Column("running_since", _TIME),
    sa.Column("active_seconds", sa.Float, nullable=False, server_default="0"),
    sa.Column("predicted_seconds", sa.Float),
)

# A message is what its best delivery is; `sending` is pending still, and pending is not summed.
_BEST = """
    CREATE FUNCTION best_state(states text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE
            WHEN 'sent' = ANY (states) THEN 'sent'
            WHEN 'ambiguous' = ANY (states) THEN 'ambiguous'
            WHEN states && ARRAY['pending', 'sending'] THEN NULL
            WHEN 'failed' = ANY (states) THEN 'failed'
            WHEN 'suppressed' = ANY (states) THEN 'suppressed' END $$"""

# Of a message's deliveries at most one is alive, so no statement changes two of one message.
_TALLY = """
    CREATE FUNCTION tally_campaign() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        campaign uuid;
        others text[];
        was text;
        is_now text;
    BEGIN
        SELECT c.id INTO campaign FROM messages m JOIN campaigns c ON c.id = m.campaign_id
        WHERE m.id = NEW.message_id;
        IF campaign IS NULL THEN
            RETURN NULL;
        END IF;
        SELECT array_agg(d.state) INTO others FROM deliveries d
        WHERE d.message_id = NEW.message_id AND d.id <> NEW.id;
        IF TG_OP = 'UPDATE' THEN
            was := best_state(others || OLD.state);
        ELSE
            was := best_state(others);
        END IF;
        is_now := best_state(others || NEW.state);
        IF was IS DISTINCT FROM is_now THEN
            INSERT INTO campaign_tallies (campaign_id, was, is_now) VALUES (campaign, was, is_now);
        END IF;
        RETURN NULL;
    END $$"""
_ON_CHANGE = """
    CREATE TRIGGER deliveries_tally AFTER UPDATE OF state ON deliveries FOR EACH ROW
    WHEN (NEW.lane_rank = 2 AND replace(OLD.state, 'sending', 'pending')
          IS DISTINCT FROM replace(NEW.state, 'sending', 'pending'))
    EXECUTE FUNCTION tally_campaign()"""
_ON_NEXT = """
    CREATE TRIGGER deliveries_tally_next AFTER INSERT ON deliveries FOR EACH ROW
    WHEN (NEW.lane_rank = 2 AND (NEW.position > 0 OR NEW.state <> 'pending'))
    EXECUTE FUNCTION tally_campaign()"""

# Somebody else's message that names a campaign makes it one larger.
_JOIN = """
    CREATE FUNCTION join_campaign() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE campaigns SET joined = joined + 1 WHERE id = NEW.campaign_id;
        RETURN NULL;
    END $$"""
_ON_JOIN = """
    CREATE TRIGGER messages_join AFTER INSERT ON messages FOR EACH ROW
    WHEN (NEW.campaign_id IS NOT NULL AND NEW.lane = 'campaign'
          AND NEW.request ->> 'campaign_position' IS NULL)
    EXECUTE FUNCTION join_campaign()"""

_SUM_UP = """
    INSERT INTO campaign_sums (campaign_id, state, messages)
    SELECT campaign_id, state, count(*) FROM (
        SELECT m.campaign_id, best_state(array_agg(d.state)) AS state
        FROM messages m JOIN campaigns c ON c.id = m.campaign_id JOIN deliveries d ON d.message_id = m.id
        WHERE m.lane = 'campaign' GROUP BY m.campaign_id, m.id) AS each
    WHERE state IS NOT NULL GROUP BY campaign_id, state"""

_SUM_LISTS = """
    UPDATE campaigns SET list_sum = sums.list_sum FROM (
        SELECT campaign_id, sum(CAST(CAST('x' || encode(substring(sha256(convert_to(
            jsonb_build_array(position, user_id, address, variables)::text, 'UTF8')) FROM 1 FOR 8), 'hex')
            AS bit(64)) AS bigint)) AS list_sum
        FROM campaign_recipients GROUP BY campaign_id) AS sums
    WHERE id = sums.campaign_id"""


def upgrade() -> None:
    for column in _COLUMNS:
        op.add_column("campaigns", column)
    op.alter_column("campaigns", "expires_at", nullable=True)
    op.drop_constraint("campaigns_status", "campaigns")
    op.create_check_constraint("campaigns_status", "campaigns", _NEW)
    op.execute("UPDATE campaigns SET started_at = created_at")
    op.execute("UPDATE campaigns SET running_since = created_at WHERE status = 'running'")
    op.create_index("campaigns_newest", "campaigns", ["created_at", "id"])
    op.create_index(
        "campaigns_running", "campaigns", ["looked_at"], postgresql_where=sa.text("status = 'running'")
    )
    op.add_column("campaign_recipients", sa.Column("key", sa.Uuid))
    op.create_index("campaign_recipients_key", "campaign_recipients", ["campaign_id", "key"], unique=True)
    op.create_index(
        "deliveries_held", "deliveries", ["message_id"],
        postgresql_where=sa.text("state = 'pending' AND reason = 'campaign_paused'"),
    )  # fmt: skip
    _tables()
    for statement in (_BEST, _TALLY, _ON_CHANGE, _ON_NEXT, _JOIN, _ON_JOIN, _SUM_UP, _SUM_LISTS):
        op.execute(statement)


def _tables() -> None:
    campaign = sa.ForeignKey("campaigns.id", ondelete="CASCADE")
    op.create_table(
        "campaign_parts",
        sa.Column("campaign_id", sa.Uuid, campaign, primary_key=True),
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("reply", JSONB, nullable=False),
    )
    op.create_table(
        "campaign_sums",
        sa.Column("campaign_id", sa.Uuid, primary_key=True),
        sa.Column("state", sa.Text, primary_key=True),
        sa.Column("messages", sa.Integer, nullable=False),
    )
    op.create_table(
        "campaign_tallies",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("campaign_id", sa.Uuid, nullable=False),
        sa.Column("was", sa.Text),
        sa.Column("is_now", sa.Text),
    )


def downgrade() -> None:
    for trigger, table in (
        ("messages_join", "messages"),
        ("deliveries_tally_next", "deliveries"),
        ("deliveries_tally", "deliveries"),
    ):
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    for function in ("join_campaign()", "tally_campaign()", "best_state(text[])"):
        op.execute(f"DROP FUNCTION {function}")
    for name in ("campaign_tallies", "campaign_sums", "campaign_parts"):
        op.drop_table(name)
    op.drop_index("deliveries_held", "deliveries")
    op.drop_index("campaign_recipients_key", "campaign_recipients")
    op.drop_column("campaign_recipients", "key")
    op.drop_index("campaigns_running", "campaigns")
    op.drop_index("campaigns_newest", "campaigns")
    # What had no name before: a draft or a failure has ended, a schedule holds still.
    op.execute("UPDATE campaigns SET status = 'paused' WHERE status = 'scheduled'")
    op.execute("UPDATE campaigns SET status = 'cancelled' WHERE status IN ('draft', 'failed')")
    op.execute("UPDATE campaigns SET expires_at = now() WHERE expires_at IS NULL")
    op.drop_constraint("campaigns_status", "campaigns")
    op.create_check_constraint("campaigns_status", "campaigns", _OLD)
    op.alter_column("campaigns", "expires_at", nullable=False)
    for column in _COLUMNS:
        op.drop_column("campaigns", column.name)
