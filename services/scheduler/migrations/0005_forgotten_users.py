"""Who is to be forgotten: what comes of them later is nobody's at once."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMAS = ("public", "trimmed")


def upgrade() -> None:
    for schema in SCHEMAS:
        op.create_table(
            "forgotten_users",
            sa.Column("user_id", sa.Uuid, primary_key=True),
            sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=False),
            schema=schema,
        )


def downgrade() -> None:
    for schema in SCHEMAS:
        op.drop_table("forgotten_users", schema=schema)
