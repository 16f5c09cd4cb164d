"""The catalogue, schedules, slots and the promo log, with the bus's attempts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.migrations import create_attempts, drop_attempts

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _promos()
    _schedules()
    _slots()
    _promo_log()
    create_attempts(op)


def downgrade() -> None:
    drop_attempts(op)
    op.execute("DROP VIEW marketing_promo_logs")
    for table in ("promo_log_chats", "slots", "schedule_commands", "schedules", "promos"):
        op.drop_table(table)


def _promos() -> None:
    op.create_table(
        "promos",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("cta_text", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, unique=True),
        sa.Column("url", sa.Text),
        sa.Column("template", sa.Text),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.CheckConstraint("id ~ '^[a-z0-9_]{1,64}$'", name="promos_id"),
        sa.CheckConstraint("payload ~ '^[A-Za-z0-9_-]{1,32}$'", name="promos_payload"),
        sa.CheckConstraint("num_nonnulls(payload, url) = 1", name="promos_target"),
    )


def _schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("bot", sa.Text, nullable=False),
        sa.Column("interval_seconds", sa.Float, nullable=False),
        sa.Column("validity_seconds", sa.Float, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("chat_ids", sa.ARRAY(sa.BigInteger), nullable=False),
        sa.Column("promo_ids", sa.ARRAY(sa.Text)),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("activated_at", INSTANT),
        sa.Column("next_slot", INSTANT),
        sa.Column("last_slot", INSTANT),
        sa.Column("last_run", INSTANT),
        sa.Column("last_promo_id", sa.Text),
        sa.Column("last_promo_position", sa.Integer),
        sa.Column("stopped_at", INSTANT),
        sa.Column("cancelled_up_to", INSTANT),
        sa.Column("stop_announced_at", INSTANT),
        sa.Column("edited_at", INSTANT),
        sa.CheckConstraint("interval_seconds > 0", name="schedules_interval"),
        sa.CheckConstraint("validity_seconds > 0", name="schedules_validity"),
        sa.CheckConstraint("active = (next_slot IS NOT NULL)", name="schedules_active"),
    )
    for name, columns, where in (
        ("schedules_due", ["next_slot"], "active"),
        ("schedules_activated", ["id"], "active AND next_slot = activated_at"),
        (
            "schedules_stops_to_announce",
            ["stopped_at"],
            "stopped_at IS NOT NULL AND stop_announced_at IS NULL",
        ),
    ):
        op.create_index(name, "schedules", columns, postgresql_where=sa.text(where))
    op.create_table(
        "schedule_commands",
        sa.Column("cause", sa.Uuid, primary_key=True),
        sa.Column("command", sa.Text, primary_key=True),
        sa.Column("schedule_id", sa.Uuid, primary_key=True),
        sa.Column("changed", sa.Boolean, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
    )


def _slots() -> None:
    op.create_table(
        "slots",
        sa.Column("schedule_id", sa.Uuid, primary_key=True),
        sa.Column("slot", INSTANT, primary_key=True),
        sa.Column("decided_at", INSTANT, nullable=False),
        sa.Column("bot", sa.Text, nullable=False),
        sa.Column("chat_ids", sa.ARRAY(sa.BigInteger), nullable=False),
        sa.Column("promo_id", sa.Text),
        sa.Column("payload", sa.Text),
        sa.Column("text", sa.Text),
        sa.Column("button", JSONB),
        sa.Column("until", INSTANT),
        sa.Column("skipped", sa.Text),
        sa.Column("announced_at", INSTANT),
        sa.CheckConstraint("(skipped IS NULL) = (promo_id IS NOT NULL)", name="slots_decision"),
        sa.CheckConstraint("skipped IN ('missed', 'no_promo', 'no_chats', 'stopped')", name="slots_skipped"),
    )
    op.create_index(
        "slots_to_announce", "slots", ["decided_at"], postgresql_where=sa.text("announced_at IS NULL")
    )


def _promo_log() -> None:
    op.create_table(
        "promo_log_chats",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("schedule_id", sa.Uuid, nullable=False),
        sa.Column("slot", INSTANT, nullable=False),
        sa.Column("promo_id", sa.Text),
        sa.Column("chat_id", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("outcome_id", sa.Uuid),
        sa.Column("provider_message_id", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("due_at", INSTANT),
        sa.CheckConstraint(
            "state IN ('pending', 'sent', 'failed', 'suppressed', 'ambiguous', 'skipped')",
            name="promo_log_chats_state",
        ),
    )
    op.create_index("promo_log_chats_slot", "promo_log_chats", ["slot", "schedule_id", "promo_id"])
    op.create_index("promo_log_chats_promo", "promo_log_chats", ["promo_id", "slot"])
    op.execute("""
        CREATE VIEW marketing_promo_logs AS
        SELECT slot, schedule_id, promo_id,
            count(*) FILTER (WHERE state <> 'skipped') AS intended,
            count(*) FILTER (WHERE state = 'sent') AS posted,
            count(*) FILTER (WHERE state = 'failed') AS failed,
            count(*) FILTER (WHERE state = 'suppressed') AS suppressed,
            count(*) FILTER (WHERE state = 'ambiguous') AS ambiguous,
            count(*) FILTER (WHERE state = 'pending') AS pending,
            coalesce(
                jsonb_agg(
                    jsonb_build_object('chat_id', chat_id, 'state', state,
                                       'provider_message_id', provider_message_id, 'reason', reason)
                    ORDER BY chat_id
                ) FILTER (WHERE chat_id IS NOT NULL),
                '[]'
            ) AS chats,
            max(reason) FILTER (WHERE state = 'skipped') AS skipped,
            coalesce(min(due_at), slot) AS created_at
        FROM promo_log_chats
        GROUP BY slot, schedule_id, promo_id
    """)
