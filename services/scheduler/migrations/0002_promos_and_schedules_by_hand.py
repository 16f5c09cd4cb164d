"""Promos and schedules that people make: descriptions, names, cron, pauses; cancellations in one table."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DEFAULT_SCHEDULE = "09aaa534-5f4d-5e88-817e-6c1be9a38c2d"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("promos", sa.Column("description", sa.Text, nullable=False, server_default=""))
    op.add_column("promos", sa.Column("format", sa.Text, nullable=False, server_default="plain"))
    op.add_column("promos", sa.Column("variables", JSONB, nullable=False, server_default="{}"))
    op.create_check_constraint("promos_format", "promos", "format IN ('plain', 'markdown_v2')")
    op.create_check_constraint("promos_url", "promos", "url ~ '^https://'")
    _schedules()
    _commands()
    _cancellations()
    op.create_index(
        "slots_promo", "slots", ["promo_id", "until"], postgresql_where=sa.text("promo_id IS NOT NULL")
    )


def _schedules() -> None:
    op.add_column("schedules", sa.Column("name", sa.Text))
    op.execute(f"""
        UPDATE schedules SET name = CASE id WHEN '{DEFAULT_SCHEDULE}' THEN 'default'
                                            ELSE CAST(id AS text) END""")  # noqa: S608 - of a constant
    op.alter_column("schedules", "name", nullable=False)
    op.create_unique_constraint("schedules_name", "schedules", ["name"])
    op.add_column("schedules", sa.Column("cron", sa.Text))
    op.add_column("schedules", sa.Column("paused_until", INSTANT))
    op.alter_column("schedules", "interval_seconds", nullable=True)
    op.create_check_constraint("schedules_timing", "schedules", "num_nonnulls(interval_seconds, cron) = 1")


def _commands() -> None:
    op.rename_table("schedule_commands", "commands")
    op.alter_column(
        "commands", "schedule_id", new_column_name="subject", type_=sa.Text,
        postgresql_using="CAST(schedule_id AS text)",
    )  # fmt: skip


def _cancellations() -> None:
    op.create_table(
        "cancellations",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("schedule_id", sa.Uuid, nullable=False),
        sa.Column("promo_id", sa.Text),
        sa.Column("up_to", INSTANT, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("announced_at", INSTANT),
        sa.CheckConstraint("reason IN ('stopped', 'disabled')", name="cancellations_reason"),
    )
    op.create_index(
        "cancellations_to_announce", "cancellations", ["at"], postgresql_where=sa.text("announced_at IS NULL")
    )
    op.create_index("cancellations_schedule", "cancellations", ["schedule_id", "up_to"])
    # A stop that is still to be announced may be announced under another id: cancelling twice is harmless.
    op.execute("""
        INSERT INTO cancellations (id, schedule_id, up_to, reason, at)
        SELECT gen_random_uuid(), id, cancelled_up_to, 'stopped', stopped_at FROM schedules
        WHERE stopped_at IS NOT NULL AND stop_announced_at IS NULL""")
    op.drop_index("schedules_stops_to_announce", "schedules")
    op.drop_column("schedules", "stopped_at")
    op.drop_column("schedules", "stop_announced_at")


def downgrade() -> None:
    op.add_column("schedules", sa.Column("stopped_at", INSTANT))
    op.add_column("schedules", sa.Column("stop_announced_at", INSTANT))
    op.create_index(
        "schedules_stops_to_announce", "schedules", ["stopped_at"],
        postgresql_where=sa.text("stopped_at IS NOT NULL AND stop_announced_at IS NULL"),
    )  # fmt: skip
    op.drop_index("slots_promo", "slots")
    op.drop_table("cancellations")
    op.execute("DELETE FROM commands WHERE subject !~ '^[0-9a-f-]{36}$'")
    op.alter_column(
        "commands", "subject", new_column_name="schedule_id", type_=sa.Uuid,
        postgresql_using="CAST(subject AS uuid)",
    )  # fmt: skip
    op.rename_table("commands", "schedule_commands")
    # What the older release cannot say is gone.
    op.execute("DELETE FROM schedules WHERE interval_seconds IS NULL")
    op.drop_constraint("schedules_timing", "schedules")
    op.alter_column("schedules", "interval_seconds", nullable=False)
    for name in ("paused_until", "cron", "name"):
        op.drop_column("schedules", name)
    op.drop_constraint("promos_url", "promos")
    for name in ("variables", "format", "description"):
        op.drop_column("promos", name)
