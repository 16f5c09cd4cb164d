"""The SQL of the projection: presses and posts give the same rows in whatever order they come.

The promo of a press is a function of the press and of all posts: that of the delivery it names (if the
payload is that delivery's), else that of the payload's latest post before the press, else that of the
payload's first post, else the payload itself, or null where that is empty: a link in a campaign's letter.
A press asks for it when it is stored; a post asks again for the presses whose answer it may change.
Likewise the metadata of a press is its own with those of all its annotations over it.
"""

from sqlalchemy import text

_PROMO_OF_DELIVERY = """
(SELECT posts.promo_id FROM posts
 WHERE posts.delivery_id = press.delivery_id AND coalesce(posts.payload, press.payload) = press.payload
 ORDER BY posts.posted_at, posts.id LIMIT 1)
"""
_PROMO_OF_PAYLOAD = """
coalesce(
    (SELECT posts.promo_id FROM posts
     WHERE posts.payload = press.payload AND posts.posted_at <= press.clicked_at
     ORDER BY posts.posted_at DESC, posts.id DESC LIMIT 1),
    (SELECT posts.promo_id FROM posts
     WHERE posts.payload = press.payload
     ORDER BY posts.posted_at, posts.id LIMIT 1))
"""
_PROMO_OF_PRESS = f"coalesce({_PROMO_OF_DELIVERY}, {_PROMO_OF_PAYLOAD}, nullif(press.payload, ''))"

_NOTES_OF_PRESS = """
(SELECT jsonb_object_agg(note.key, note.value ORDER BY annotation.at, annotation.id)
 FROM click_annotations AS annotation, jsonb_each(annotation.metadata) AS note
 WHERE annotation.click_id = press.id)
"""

# Presses run beside each other; a post or an annotation waits for them and they for it, or neither would
# see the other.
# Tables that are built anew beside these have a lock of their own.
_PROJECTION_LOCK = "hashtext('clicks in ' || current_schema())"
LOCK_FOR_PRESSES = text(f"SELECT pg_advisory_xact_lock_shared({_PROJECTION_LOCK})")
LOCK_FOR_OTHERS = text(f"SELECT pg_advisory_xact_lock({_PROJECTION_LOCK})")

_NONE = "'00000000-0000-0000-0000-000000000000'::uuid"
"""What stands for no delivery where only equals are found quickly."""

# An array of rows is written and read in half the time of an array for each column.
# In the order of ids, so that two batches with the same presses cannot wait for each other. What presses have
# in common is looked up once: the promo of their delivery, and whether their payload was ever posted.
ADD_PRESSES = text(f"""
WITH press AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:presses AS pressed[]))
),
shown AS MATERIALIZED (
    SELECT DISTINCT delivery_id, payload FROM press
),
known AS MATERIALIZED (
    SELECT press.delivery_id, press.payload, {_PROMO_OF_DELIVERY} AS promo_id,
           EXISTS (SELECT FROM posts WHERE posts.payload = press.payload) AS was_posted
    FROM shown AS press
),
notes AS MATERIALIZED (
    SELECT press.id, {_NOTES_OF_PRESS} AS metadata
    FROM press WHERE EXISTS (SELECT FROM click_annotations WHERE click_id = press.id)
),
stored AS (
    INSERT INTO marketing_clicks (id, user_id, promo_id, cta_text, chat_id, message_id, source, metadata,
                                  clicked_at, bot, payload, delivery_id, bot_id, update_id, telegram_id)
    SELECT press.id, CASE WHEN f.user_id IS NULL THEN press.user_id END,
           CASE WHEN known.promo_id IS NOT NULL THEN known.promo_id
                WHEN known.was_posted THEN {_PROMO_OF_PAYLOAD}
                ELSE nullif(press.payload, '') END,
           cta_text, CASE WHEN f.user_id IS NULL OR chat_id < 0 THEN chat_id END, message_id, source,
           coalesce(CAST(press.metadata AS jsonb) || notes.metadata, CAST(press.metadata AS jsonb),
                    notes.metadata),
           clicked_at, bot, press.payload, press.delivery_id, bot_id, update_id,
           CASE WHEN f.user_id IS NULL THEN telegram_id END
    FROM press
    JOIN known ON known.payload = press.payload
              AND coalesce(known.delivery_id, {_NONE}) = coalesce(press.delivery_id, {_NONE})
    LEFT JOIN notes ON notes.id = press.id
    LEFT JOIN forgotten_users AS f ON f.user_id = press.user_id AND press.clicked_at <= f.forgotten_at
    ORDER BY press.id
    ON CONFLICT DO NOTHING
    RETURNING promo_id
),
new AS (
    SELECT promo_id, count(*) AS presses FROM stored GROUP BY promo_id
)
SELECT promo_id, EXISTS (SELECT FROM posts WHERE posts.promo_id = new.promo_id) AS posted, presses FROM new
""")  # noqa: S608 - the only things put into it are the expressions above

# A private chat is its person's: a post there that is older than the forgetting is in nobody's chat.
ADD_POSTS = text("""
INSERT INTO posts (id, delivery_id, promo_id, payload, bot, chat_id, message_id, schedule_id, slot, posted_at)
SELECT id, delivery_id, promo_id, payload, bot, CASE WHEN f.user_id IS NULL THEN chat_id END,
       CASE WHEN f.user_id IS NULL THEN message_id END, schedule_id, slot, posted_at
FROM unnest(
    CAST(:ids AS uuid[]), CAST(:delivery_ids AS uuid[]), CAST(:promo_ids AS text[]),
    CAST(:payloads AS text[]), CAST(:bots AS text[]), CAST(:chat_ids AS bigint[]),
    CAST(:message_ids AS bigint[]), CAST(:schedule_ids AS uuid[]), CAST(:slots AS timestamptz[]),
    CAST(:posted_at AS timestamptz[]), CAST(:owners AS uuid[])
) AS post (id, delivery_id, promo_id, payload, bot, chat_id, message_id, schedule_id, slot, posted_at, owner)
LEFT JOIN forgotten_users AS f ON f.user_id = post.owner AND post.posted_at <= f.forgotten_at
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

ADD_ANNOTATIONS = text("""
INSERT INTO click_annotations (id, click_id, at, metadata)
SELECT id, click_id, at, CAST(metadata AS jsonb) FROM unnest(
    CAST(:ids AS uuid[]), CAST(:click_ids AS uuid[]), CAST(:at AS timestamptz[]), CAST(:metadata AS text[])
) AS annotation (id, click_id, at, metadata)
ON CONFLICT (id) DO NOTHING
RETURNING click_id
""")

# Whatever an annotation once put there, all annotations together put over it: the press's own is not needed.
ANNOTATE_PRESSES = text(f"""
UPDATE marketing_clicks AS press SET metadata = coalesce(press.metadata, '{{}}') || {_NOTES_OF_PRESS}
WHERE press.id = ANY(CAST(:click_ids AS uuid[]))
""")  # noqa: S608 - the only thing put into it is the expression above

_COUNTED = """
CASE WHEN {metadata} ? 'conversion' THEN jsonb_build_object('conversion', {metadata} -> 'conversion') END"""

# Of what is forgotten only what is counted stays: that somebody pressed, and whether it came to a purchase.
FORGET_ANNOTATIONS = text(f"""
UPDATE click_annotations AS note SET metadata = coalesce({_COUNTED.format(metadata="note.metadata")}, '{{}}')
FROM marketing_clicks AS press
WHERE press.id = note.click_id AND press.user_id = :user_id AND press.clicked_at <= :at
""")  # noqa: S608 - the only thing put into it is the expression above
FORGET_PRESSES = text(f"""
UPDATE marketing_clicks SET user_id = NULL, telegram_id = NULL,
    chat_id = CASE WHEN chat_id < 0 THEN chat_id END, metadata = {_COUNTED.format(metadata="metadata")}
WHERE user_id = :user_id AND clicked_at <= :at
""")  # noqa: S608 - the only thing put into it is the expression above

# The people behind numbers cannot be told by SQL; there are few private chats among those of promos.
PRIVATE_CHATS = text("SELECT DISTINCT chat_id FROM posts WHERE chat_id > 0")
FORGET_POSTS = text("""
UPDATE posts SET chat_id = NULL, message_id = NULL
WHERE chat_id > 0 AND chat_id = ANY(CAST(:chat_ids AS bigint[])) AND posted_at <= :at
""")
