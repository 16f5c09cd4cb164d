"""Whoever is forgotten is found in the ledger and in lists without a search."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_EMAIL, _CHAT = "->> 'email'", "->> 'telegram_chat_id'"
# Rows of before addresses were bounded may hold what no index takes: it can be nobody's mailbox or chat.
# Telegram's ids have at most 52 bits; 18 characters are a bigint in any case.
_INDEXES = {
    "messages_email": (
        "messages", f"lower(request -> 'address' {_EMAIL})",
        f"length(request -> 'address' {_EMAIL}) <= 320",
    ),
    "messages_telegram_chat": (
        "messages", f"CAST(request -> 'address' {_CHAT} AS bigint)",
        f"length(request -> 'address' {_CHAT}) <= 18",
    ),
    "campaign_recipients_user": ("campaign_recipients", "user_id", "user_id IS NOT NULL"),
    "campaign_recipients_email": (
        "campaign_recipients", f"lower(address {_EMAIL})", f"length(address {_EMAIL}) <= 320"
    ),
    "campaign_recipients_telegram_chat": (
        "campaign_recipients", f"CAST(address {_CHAT} AS bigint)", f"length(address {_CHAT}) <= 18"
    ),
}  # fmt: skip


def upgrade() -> None:
    # The tables are large and in use: nobody waits meanwhile. What was broken off is begun anew.
    with op.get_context().autocommit_block():
        for name, (table, expression, guard) in _INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {table} (({expression})) WHERE {guard}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in _INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
