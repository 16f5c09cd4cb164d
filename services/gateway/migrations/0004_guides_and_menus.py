"""Guides and collections; the language that people chose, and the menus that Telegram shows them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("telegram_users", sa.Column("chosen_language", sa.Text))
    op.add_column("telegram_users", sa.Column("told_menu", sa.Text))
    op.create_index("telegram_users_username", "telegram_users", [sa.text("lower(username)")])
    op.create_index(
        "telegram_users_told_menu", "telegram_users", ["id"],
        postgresql_where=sa.text("told_menu IS NOT NULL"),
    )  # fmt: skip
    op.create_table(
        "telegram_guides",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("difficulty", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("id ~ '^[a-z0-9_]{1,32}$'", name="telegram_guides_id"),
        sa.CheckConstraint(
            "category IN ('trading', 'technical', 'risk', 'psychology', 'automation', 'platform')",
            name="telegram_guides_category",
        ),
        sa.CheckConstraint(
            "difficulty IN ('beginner', 'intermediate', 'advanced')", name="telegram_guides_difficulty"
        ),
    )
    op.create_index("telegram_guides_order", "telegram_guides", ["position", "id"])
    create_collections()


def create_collections() -> None:
    table = "telegram_user_guide_collections"
    op.create_table(
        table,
        sa.Column(
            "user_id", sa.Uuid, sa.ForeignKey("telegram_users.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column(
            "guide_id", sa.Text, sa.ForeignKey("telegram_guides.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("saved_at", sa.DateTime(timezone=True)),
        sa.Column("read_at", sa.DateTime(timezone=True)),
        sa.Column("views", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("last_view", sa.Uuid),
        sa.CheckConstraint("views >= 0", name=f"{table}_views"),
    )
    op.create_index(f"{table}_guide", table, ["guide_id"])


def downgrade() -> None:
    op.drop_table("telegram_user_guide_collections")
    op.drop_table("telegram_guides")
    op.drop_index("telegram_users_told_menu", "telegram_users")
    op.drop_index("telegram_users_username", "telegram_users")
    op.drop_column("telegram_users", "told_menu")
    op.drop_column("telegram_users", "chosen_language")
