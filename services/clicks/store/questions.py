"""The SQL of what is asked of clicks.

Deep links are a series of their own everywhere: they follow a press, and would count it twice.
"""

from sqlalchemy import text

# Payloads that no promo has are a user's words: only the most pressed of them are answered.
SUMS = text("""
WITH pressed AS (
    SELECT promo_id,
        count(*) FILTER (WHERE source <> 'deep_link') AS clicks,
        count(DISTINCT user_id) FILTER (WHERE source <> 'deep_link') AS unique_users,
        count(*) FILTER (WHERE source <> 'deep_link' AND metadata->>'conversion' = 'completed') AS completed,
        count(*) FILTER (WHERE source = 'deep_link') AS deep_links
    FROM marketing_clicks
    WHERE (CAST(:promo_id AS text) IS NULL OR promo_id = :promo_id) AND promo_id IS NOT NULL
        AND (CAST(:since AS timestamptz) IS NULL OR clicked_at >= :since)
        AND (CAST(:until AS timestamptz) IS NULL OR clicked_at < :until)
    GROUP BY promo_id
),
posted AS (
    SELECT promo_id, count(DISTINCT delivery_id) AS posts
    FROM posts
    WHERE (CAST(:promo_id AS text) IS NULL OR promo_id = :promo_id)
        AND (CAST(:since AS timestamptz) IS NULL OR posted_at >= :since)
        AND (CAST(:until AS timestamptz) IS NULL OR posted_at < :until)
    GROUP BY promo_id
)
SELECT promo_id, coalesce(clicks, 0) AS clicks, coalesce(unique_users, 0) AS unique_users,
    coalesce(completed, 0) AS completed,
    coalesce(CAST(completed AS float8) / nullif(clicks, 0), 0) AS conversion_rate,
    coalesce(deep_links, 0) AS deep_links, coalesce(posts, 0) AS posts,
    coalesce(CAST(clicks AS float8) / nullif(posts, 0), 0) AS ctr
FROM pressed FULL JOIN posted USING (promo_id)
ORDER BY (posts IS NULL), clicks + deep_links DESC NULLS LAST, promo_id
LIMIT 1000
""")

# A delivery that was settled twice has two rows: its first post is the one that is shown.
POSTS = text("""
SELECT post.delivery_id, post.promo_id, post.schedule_id, post.slot, post.bot, post.chat_id,
    post.message_id, post.posted_at, pressed.clicks, pressed.unique_users
FROM posts AS post
CROSS JOIN LATERAL (
    SELECT count(*) AS clicks, count(DISTINCT click.user_id) AS unique_users
    FROM marketing_clicks AS click
    WHERE click.delivery_id = post.delivery_id AND click.source <> 'deep_link'
        AND click.payload = coalesce(post.payload, click.payload)
) AS pressed
WHERE NOT EXISTS (
        SELECT FROM posts AS earlier
        WHERE earlier.delivery_id = post.delivery_id
            AND (earlier.posted_at, earlier.id) < (post.posted_at, post.id))
    AND (CAST(:promo_id AS text) IS NULL OR post.promo_id = :promo_id)
    AND (CAST(:schedule_id AS uuid) IS NULL OR post.schedule_id = :schedule_id)
    AND (CAST(:since AS timestamptz) IS NULL OR post.posted_at >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR post.posted_at < :until)
    AND (CAST(:before_at AS timestamptz) IS NULL
         OR (post.posted_at, post.delivery_id) < (:before_at, CAST(:before_key AS uuid)))
ORDER BY post.posted_at DESC, post.delivery_id DESC
LIMIT :limit
""")

# Where each hour or day begins is a decision about time zones, so it comes from outside.
SERIES = text("""
WITH starts AS (SELECT CAST(:starts AS timestamptz[]) AS starts),
pressed AS (
    SELECT width_bucket(clicked_at, starts) AS point,
        count(*) FILTER (WHERE source <> 'deep_link') AS clicks,
        count(DISTINCT user_id) FILTER (WHERE source <> 'deep_link') AS unique_users,
        count(*) FILTER (WHERE source <> 'deep_link' AND metadata->>'conversion' = 'completed') AS completed,
        count(*) FILTER (WHERE source = 'deep_link') AS deep_links
    FROM marketing_clicks, starts
    WHERE clicked_at >= starts[1] AND clicked_at < :until AND promo_id IS NOT NULL
        AND (CAST(:promo_id AS text) IS NULL OR promo_id = :promo_id)
    GROUP BY point
),
posted AS (
    SELECT width_bucket(posted_at, starts) AS point, count(DISTINCT delivery_id) AS posts
    FROM posts, starts
    WHERE posted_at >= starts[1] AND posted_at < :until
        AND (CAST(:promo_id AS text) IS NULL OR promo_id = :promo_id)
    GROUP BY point
)
SELECT coalesce(clicks, 0) AS clicks, coalesce(unique_users, 0) AS unique_users,
    coalesce(completed, 0) AS completed, coalesce(deep_links, 0) AS deep_links, coalesce(posts, 0) AS posts
FROM starts
CROSS JOIN LATERAL generate_subscripts(starts, 1) AS point
LEFT JOIN pressed USING (point)
LEFT JOIN posted USING (point)
ORDER BY point
""")
