"""The SQL of the projection: presses and posts give the same rows in whatever order they come.

The promo of a press is a function of the press and of all posts: that of the delivery it names (if the
payload is that delivery's), else that of the payload's latest post before the press, else that of the
payload's first post, else the payload itself. A press asks for it when it is stored; a post asks again
for the presses whose answer it may change.
"""

from sqlalchemy import text

_PROMO_OF_PRESS = """
coalesce(
    (SELECT posts.promo_id FROM posts
     WHERE posts.delivery_id = press.delivery_id AND coalesce(posts.payload, press.payload) = press.payload
     ORDER BY posts.posted_at, posts.id LIMIT 1),
    (SELECT posts.promo_id FROM posts
     WHERE posts.payload = press.payload AND posts.posted_at <= press.clicked_at
     ORDER BY posts.posted_at DESC, posts.id DESC LIMIT 1),
    (SELECT posts.promo_id FROM posts
     WHERE posts.payload = press.payload
     ORDER BY posts.posted_at, posts.id LIMIT 1),
    press.payload)
"""

# Presses run beside each other; a post waits for them and they for it, or neither would see the other.
_PROJECTION_LOCK = 0x636C69636B73  # "clicks"
LOCK_FOR_PRESSES = text(f"SELECT pg_advisory_xact_lock_shared({_PROJECTION_LOCK})")
LOCK_FOR_POSTS = text(f"SELECT pg_advisory_xact_lock({_PROJECTION_LOCK})")

# In the order of ids, so that two batches with the same presses cannot wait for each other.
ADD_PRESSES = text(f"""
WITH press AS (
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:user_ids AS uuid[]), CAST(:cta_texts AS text[]),
        CAST(:chat_ids AS bigint[]), CAST(:message_ids AS bigint[]), CAST(:sources AS text[]),
        CAST(:metadata AS text[]), CAST(:clicked_at AS timestamptz[]), CAST(:bots AS text[]),
        CAST(:payloads AS text[]), CAST(:delivery_ids AS uuid[])
    ) AS press (id, user_id, cta_text, chat_id, message_id, source, metadata, clicked_at, bot, payload,
                delivery_id)
),
stored AS (
    INSERT INTO marketing_clicks (id, user_id, promo_id, cta_text, chat_id, message_id, source, metadata,
                                  clicked_at, bot, payload, delivery_id)
    SELECT id, user_id, {_PROMO_OF_PRESS}, cta_text, chat_id, message_id, source, CAST(metadata AS jsonb),
           clicked_at, bot, payload, delivery_id
    FROM press ORDER BY id
    ON CONFLICT (id) DO NOTHING
    RETURNING promo_id
)
SELECT promo_id, EXISTS (SELECT FROM posts WHERE posts.promo_id = stored.promo_id) AS posted,
       count(*) AS presses
FROM stored GROUP BY promo_id
""")  # noqa: S608 - the only thing put into it is the expression above

ADD_POSTS = text("""
INSERT INTO posts (id, delivery_id, promo_id, payload, bot, chat_id, message_id, schedule_id, slot, posted_at)
SELECT * FROM unnest(
    CAST(:ids AS uuid[]), CAST(:delivery_ids AS uuid[]), CAST(:promo_ids AS text[]),
    CAST(:payloads AS text[]), CAST(:bots AS text[]), CAST(:chat_ids AS bigint[]),
    CAST(:message_ids AS bigint[]), CAST(:schedule_ids AS uuid[]), CAST(:slots AS timestamptz[]),
    CAST(:posted_at AS timestamptz[])
)
ON CONFLICT (id) DO NOTHING
RETURNING id
""")

# A post decides for the presses on its delivery, and for those of its payload until the next post of it
# (and before it, when it is the first).
CORRECT_PRESSES = text(f"""
WITH span AS (
    SELECT fresh.delivery_id, fresh.payload,
        CASE WHEN EXISTS (SELECT FROM posts AS earlier
                          WHERE earlier.payload = fresh.payload AND earlier.posted_at < fresh.posted_at)
             THEN fresh.posted_at ELSE '-infinity' END AS since,
        coalesce((SELECT min(later.posted_at) FROM posts AS later
                  WHERE later.payload = fresh.payload AND later.posted_at > fresh.posted_at),
                 'infinity') AS before
    FROM posts AS fresh WHERE fresh.id = ANY(CAST(:ids AS uuid[]))
),
touched AS (
    SELECT click.id FROM span JOIN marketing_clicks AS click ON click.delivery_id = span.delivery_id
    UNION
    SELECT click.id FROM span JOIN marketing_clicks AS click
        ON click.payload = span.payload AND click.clicked_at >= span.since AND click.clicked_at < span.before
),
answer AS (
    SELECT press.id, {_PROMO_OF_PRESS} AS promo_id
    FROM touched JOIN marketing_clicks AS press ON press.id = touched.id
)
UPDATE marketing_clicks AS click SET promo_id = answer.promo_id
FROM answer
WHERE click.id = answer.id AND click.promo_id IS DISTINCT FROM answer.promo_id
""")  # noqa: S608 - the only thing put into it is the expression above

# Deep links are a series of their own: they follow a press, and would count it twice. Payloads that no
# promo has are a user's words: only the most pressed of them are answered.
SUMS = text("""
WITH pressed AS (
    SELECT promo_id,
        count(*) FILTER (WHERE source <> 'deep_link') AS clicks,
        count(DISTINCT user_id) FILTER (WHERE source <> 'deep_link') AS unique_users,
        count(*) FILTER (WHERE source <> 'deep_link' AND metadata->>'conversion' = 'completed') AS completed,
        count(*) FILTER (WHERE source = 'deep_link') AS deep_links
    FROM marketing_clicks
    WHERE CAST(:promo_id AS text) IS NULL OR promo_id = :promo_id
    GROUP BY promo_id
),
posted AS (
    SELECT promo_id, count(DISTINCT delivery_id) AS posts
    FROM posts
    WHERE CAST(:promo_id AS text) IS NULL OR promo_id = :promo_id
    GROUP BY promo_id
)
SELECT promo_id, coalesce(clicks, 0) AS clicks, coalesce(unique_users, 0) AS unique_users,
    coalesce(CAST(completed AS float8) / nullif(clicks, 0), 0) AS conversion_rate,
    coalesce(deep_links, 0) AS deep_links, coalesce(posts, 0) AS posts
FROM pressed FULL JOIN posted USING (promo_id)
ORDER BY (posts IS NULL), clicks + deep_links DESC NULLS LAST, promo_id
LIMIT 1000
""")
