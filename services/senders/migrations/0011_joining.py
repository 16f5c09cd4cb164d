"""What joins campaigns locks them in one order, once for all that is written together."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Two batches that name the same campaigns wait for each other in one order, so neither waits for ever.
_JOIN = """
    CREATE FUNCTION join_campaigns() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT 1 FROM news WHERE campaign_id IS NOT NULL) THEN
            PERFORM 1 FROM campaigns
            WHERE id IN (SELECT campaign_id FROM news WHERE lane = 'campaign'
                         AND request ->> 'campaign_position' IS NULL)
            ORDER BY id FOR NO KEY UPDATE;
            UPDATE campaigns c SET joined = c.joined + n.messages
            FROM (SELECT campaign_id, count(*) AS messages FROM news
                  WHERE campaign_id IS NOT NULL AND lane = 'campaign'
                    AND request ->> 'campaign_position' IS NULL GROUP BY campaign_id) AS n
            WHERE c.id = n.campaign_id;
        END IF;
        RETURN NULL;
    END $$"""
_ON_JOIN = """
    CREATE TRIGGER messages_join AFTER INSERT ON messages REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION join_campaigns()"""
_JOIN_EACH = """
    CREATE FUNCTION join_campaign() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE campaigns SET joined = joined + 1 WHERE id = NEW.campaign_id;
        RETURN NULL;
    END $$"""
_ON_JOIN_EACH = """
    CREATE TRIGGER messages_join AFTER INSERT ON messages FOR EACH ROW
    WHEN (NEW.campaign_id IS NOT NULL AND NEW.lane = 'campaign'
          AND NEW.request ->> 'campaign_position' IS NULL)
    EXECUTE FUNCTION join_campaign()"""


def upgrade() -> None:
    op.execute("DROP TRIGGER messages_join ON messages")
    op.execute("DROP FUNCTION join_campaign()")
    op.execute(_JOIN)
    op.execute(_ON_JOIN)


def downgrade() -> None:
    op.execute("DROP TRIGGER messages_join ON messages")
    op.execute("DROP FUNCTION join_campaigns()")
    op.execute(_JOIN_EACH)
    op.execute(_ON_JOIN_EACH)
