"""The statements of the ledger: one per intention."""

from sqlalchemy import text

# A new delivery is held by whoever adds it: the poller takes it only when that process is gone. Late is what
# was requested for a private chat before its person was forgotten.
ACCEPT = text("""
    WITH asked AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:lanes AS text[]), CAST(:user_ids AS uuid[]),
            CAST(:templates AS text[]), CAST(:campaign_ids AS uuid[]), CAST(:requests AS text[]),
            CAST(:expiries AS timestamptz[]), CAST(:traces AS text[]), CAST(:delivery_ids AS uuid[]),
            CAST(:channels AS text[]), CAST(:ranks AS smallint[]), CAST(:queues AS uuid[]),
            CAST(:sequences AS bigint[]), CAST(:not_befores AS timestamptz[]), CAST(:owners AS uuid[]),
            CAST(:requested AS timestamptz[]))
        AS asked(id, lane, user_id, template, campaign_id, request, expires_at, trace, delivery_id, channel,
                 lane_rank, queue, sequence, not_before, owner, requested_at)),
    added AS (
        INSERT INTO messages (id, lane, user_id, template, campaign_id, request, expires_at, trace)
        SELECT id, lane, user_id, template, campaign_id, CAST(request AS jsonb), expires_at, trace FROM asked
        ON CONFLICT (id) DO NOTHING RETURNING id),
    opened AS (
        INSERT INTO deliveries (id, message_id, channel, position, lane_rank, queue, sequence, state, due_at)
        SELECT delivery_id, id, channel, 0, lane_rank, queue, sequence, 'pending',
               CASE WHEN not_before IS NULL THEN now() + make_interval(secs => :hold)
               ELSE least(not_before, expires_at) END
        FROM asked JOIN added USING (id)
        ON CONFLICT (id) DO NOTHING)
    SELECT asked.id, added.id IS NOT NULL AS is_new, f.user_id IS NOT NULL AS is_late
    FROM asked LEFT JOIN added USING (id)
    LEFT JOIN forgotten_recipients f ON f.user_id = asked.owner AND f.forgotten_at >= asked.requested_at""")

ADD_DELIVERY = text("""
    INSERT INTO deliveries AS known (id, message_id, channel, position, lane_rank, state, due_at)
    VALUES (:id, :message_id, :channel, :position, :lane_rank, 'pending',
            now() + make_interval(secs => :hold))
    ON CONFLICT (id) DO UPDATE
    SET state = 'pending', reason = NULL, attempt = known.attempt + 1, position = excluded.position,
        lane_rank = excluded.lane_rank, announced = true, due_at = excluded.due_at, updated_at = now()
    WHERE known.state = 'failed' AND known.reason = 'invalid'""")

# What was invalid was never sent: the same id may be used once more, for something else. Whatever is told
# of it then outranks that it was invalid.
REPLACE = text("""
    WITH replaced AS (
        UPDATE messages m SET request = CAST(:request AS jsonb), lane = :lane, user_id = :user_id,
               template = :template, expires_at = :expires_at, trace = :trace
        WHERE m.id = :id AND m.request <> CAST(:request AS jsonb)
          AND m.campaign_id IS NOT DISTINCT FROM CAST(:campaign_id AS uuid)
          AND (m.campaign_id IS NULL OR m.lane = :lane)
          AND EXISTS (SELECT 1 FROM deliveries d WHERE d.message_id = m.id)
          AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message_id = m.id
                          AND (d.state <> 'failed' OR d.reason IS DISTINCT FROM 'invalid'))
        RETURNING m.id)
    INSERT INTO deliveries AS known (id, message_id, channel, position, lane_rank, state, due_at)
    SELECT :delivery_id, id, :channel, 0, :rank, 'pending',
           CASE WHEN CAST(:not_before AS timestamptz) IS NULL THEN now() + make_interval(secs => :hold)
           ELSE least(CAST(:not_before AS timestamptz), CAST(:expires_at AS timestamptz)) END
    FROM replaced
    ON CONFLICT (id) DO UPDATE
    SET state = 'pending', reason = NULL, attempt = known.attempt + 1, position = 0, queue = NULL,
        lane_rank = excluded.lane_rank, announced = true, due_at = excluded.due_at, updated_at = now()
    RETURNING id""")

# Only what says nothing: of a message that does, somebody else's claim to its id ends nothing.
REJECT = text("""
    UPDATE deliveries d SET state = 'failed', reason = 'invalid', queue = NULL, announced = false,
           updated_at = now()
    FROM messages m
    WHERE m.id = d.message_id AND m.id = :message_id AND d.state = 'pending' AND d.attempt = 0
      AND m.request ->> 'template' IS NULL AND m.request ->> 'body' IS NULL AND m.request ->> 'promo' IS NULL
    RETURNING d.id, d.attempt""")

# What came before and was never attempted: its handler failed or died, and this one goes on.
RESUME = text("""
    UPDATE deliveries SET due_at = now() + make_interval(secs => :hold)
    WHERE message_id = :message_id AND state = 'pending' AND attempt = 0 AND reason IS NULL RETURNING id""")

# A replay is the next attempt: what becomes of it outranks the dead letter.
REVIVE = text("""
    UPDATE deliveries SET state = 'pending', reason = NULL, attempt = attempt + 1, tries = 0,
           announced = true, due_at = now() + make_interval(secs => :hold), updated_at = now()
    WHERE message_id = :message_id AND state = 'failed' AND reason = 'dead_letter' RETURNING id""")

# `behind`: first attempts to the same address that came before and are not under way yet. One that is under
# way is given a moment to arrive first, and no more: its provider may hang.
_COLUMNS = """
    d.id, d.channel, d.position, d.attempt, d.tries, d.greylists, d.faults, d.resent, m.request, m.trace,
    EXISTS (SELECT 1 FROM message_cancellations c WHERE c.message_id = m.id)
    OR EXISTS (SELECT 1 FROM promo_cancellations c
            WHERE m.lane = 'promo' AND c.schedule_id = CAST(m.request -> 'promo' ->> 'schedule_id' AS uuid)
              AND (c.promo_id IS NULL OR c.promo_id = m.request -> 'promo' ->> 'promo_id')
              AND c.up_to >= CAST(m.request -> 'promo' ->> 'slot' AS timestamptz))
    OR EXISTS (SELECT 1 FROM campaigns c WHERE c.id = m.campaign_id AND c.status = 'cancelled') AS cancelled,
    EXISTS (SELECT 1 FROM campaigns c WHERE c.id = m.campaign_id AND c.status = 'paused') AS paused,
    (SELECT count(*) FROM (
        SELECT 1 FROM deliveries e
        WHERE e.queue = d.queue AND e.sequence < d.sequence
          AND (e.state = 'pending' OR e.updated_at > now() - interval '2 seconds') LIMIT 50) AS earlier)
    AS behind"""

LOAD = text(f"""
    SELECT {_COLUMNS} FROM deliveries d JOIN messages m ON m.id = d.message_id
    WHERE d.id = ANY(CAST(:ids AS uuid[])) AND d.state = 'pending'""")  # noqa: S608 - a constant

# Nobody starts while a limit of his is paused, though his slot was reserved before the pause; nor once his
# campaign is held or cancelled; nor where another entry of the campaign's list has the same address.
# Deliveries are locked before places, here as wherever places are given up.
CLAIM = text("""
    WITH asked AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:attempts AS int[]), CAST(:bots AS text[]),
            CAST(:chat_ids AS bigint[]), CAST(:places AS uuid[]))
        AS asked(id, attempt, bot, chat_id, place)),
    entries AS MATERIALIZED (
        SELECT asked.id, asked.place FROM asked JOIN deliveries d USING (id)
        WHERE asked.place IS NOT NULL AND d.state = 'pending' AND d.attempt = asked.attempt
        ORDER BY d.id FOR NO KEY UPDATE OF d),
    taken AS (
        INSERT INTO campaign_reached AS known (key, delivery_id)
        SELECT place, id FROM entries ORDER BY place
        ON CONFLICT (key) DO UPDATE SET delivery_id = excluded.delivery_id
        WHERE known.delivery_id = excluded.delivery_id RETURNING key, delivery_id),
    paused AS (
        SELECT k.id FROM unnest(CAST(:of AS uuid[]), CAST(:keys AS text[])) AS k(id, key)
        JOIN governor g USING (key) WHERE g.paused_until > clock_timestamp())
    UPDATE deliveries d SET state = 'sending', attempt = d.attempt + 1, bot = asked.bot,
           chat_id = asked.chat_id, lease_until = now() + make_interval(secs => :lease), updated_at = now()
    FROM asked
    WHERE d.id = asked.id AND d.state = 'pending' AND d.attempt = asked.attempt
      AND NOT EXISTS (SELECT 1 FROM paused WHERE paused.id = d.id)
      AND NOT EXISTS (SELECT 1 FROM messages m JOIN campaigns c ON c.id = m.campaign_id
                      WHERE m.id = d.message_id AND c.status IN ('paused', 'cancelled'))
      AND (asked.place IS NULL
           OR EXISTS (SELECT 1 FROM taken WHERE taken.key = asked.place AND taken.delivery_id = d.id))
    RETURNING d.id, d.attempt, asked.place""")

# Who else has an address, and when he is due; and what one has oneself of an address that is no longer meant.
RIVALS = text("""
    WITH asked AS (
        SELECT * FROM unnest(CAST(:places AS uuid[]), CAST(:ids AS uuid[]))
        WITH ORDINALITY AS asked(key, id, place)),
    found AS (
        SELECT asked.place, r.delivery_id AS id, false AS left_behind FROM asked
        JOIN campaign_reached r ON r.key = asked.key AND r.delivery_id <> asked.id
        UNION ALL
        SELECT asked.place, r.delivery_id, true FROM asked
        JOIN campaign_reached r ON r.delivery_id = asked.id AND r.key <> asked.key)
    SELECT found.*, d.state, CAST(extract(epoch FROM d.due_at - now()) AS float8) AS due_in
    FROM found JOIN deliveries d USING (id)""")

# Only while nobody sends under it.
LEAVE = text("""
    WITH own AS (
        SELECT id FROM deliveries WHERE id = :id AND state = 'pending' AND attempt = :attempt FOR UPDATE)
    DELETE FROM campaign_reached r USING own WHERE r.delivery_id = own.id AND r.key <> :place""")

# Him alone, and locked, so that nobody takes him up again while somebody else steps into his place.
LOCK_RIVAL = text("""
    SELECT 1 FROM deliveries WHERE id = :rival AND state IN ('failed', 'suppressed') FOR UPDATE""")
VACATE = text("DELETE FROM campaign_reached WHERE key = :place AND delivery_id = :rival")

# Nothing was sent under this number: the next claim takes it again.
RELEASE = text("""
    UPDATE deliveries SET state = 'pending', attempt = attempt - 1, lease_until = NULL, due_at = now(),
           updated_at = now()
    WHERE id = :id AND state = 'sending' AND attempt = :attempt""")

FINISH = text("""
    WITH asked AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:attempts AS int[]), CAST(:states AS text[]),
            CAST(:reasons AS text[]), CAST(:provider_message_ids AS text[]))
        AS asked(id, attempt, state, reason, provider_message_id)),
    ended AS (
        UPDATE deliveries d SET state = asked.state, reason = asked.reason, lease_until = NULL, queue = NULL,
               provider_message_id = asked.provider_message_id, announced = false, updated_at = now()
        FROM asked
        WHERE d.id = asked.id AND d.attempt = asked.attempt AND d.state IN ('pending', 'sending')
        RETURNING d.id, d.message_id, d.channel, d.position, d.state, d.attempt, d.reason,
                  d.provider_message_id, d.bot, d.chat_id, d.resent),
    noted AS (
        INSERT INTO delivery_history (delivery_id, attempt, state, reason, provider_message_id)
        SELECT id, attempt, state, reason, provider_message_id FROM ended
        ON CONFLICT (delivery_id, attempt, state) DO NOTHING)
    SELECT ended.*, NOT m.request ? 'address' AS is_nobodys
    FROM ended JOIN messages m ON m.id = ended.message_id""")

# A wait ends when the message expires: then it is time to say so.
_IN_SECONDS = """least(now() + make_interval(secs => :seconds),
                       (SELECT expires_at FROM messages m WHERE m.id = message_id))"""

WAIT = text(f"""
    UPDATE deliveries SET state = 'pending', reason = :reason, lease_until = NULL, queue = NULL,
           updated_at = now(), due_at = {_IN_SECONDS}, tries = tries + :tries,
           greylists = greylists + :greylists, resent = resent OR :resent
    WHERE id = :id AND attempt = :attempt AND state = 'sending' RETURNING id""")  # noqa: S608 - a constant

POSTPONE = text(f"""
    UPDATE deliveries SET due_at = {_IN_SECONDS}, reason = :reason, faults = faults + :faults,
           queue = CASE WHEN :faults > 0 OR CAST(:reason AS text) = 'duplicate' THEN NULL ELSE queue END,
           updated_at = now()
    WHERE id = :id AND attempt = :attempt AND state = 'pending'""")  # noqa: S608 - a constant

# Until its campaign goes on, or the message expires; those behind it need not wait for it.
HOLD = text("""
    UPDATE deliveries SET due_at = (SELECT expires_at FROM messages m WHERE m.id = message_id),
           reason = 'campaign_paused', queue = NULL, updated_at = now()
    WHERE id = :id AND attempt = :attempt AND state = 'pending'""")

# Each lane of each channel has workers of its own; `rooms` says how many of them are free.
TAKE_DUE = text("""
    WITH due AS (
        SELECT each.id, each.due_at
        FROM unnest(CAST(:channels AS text[]), CAST(:ranks AS smallint[]), CAST(:rooms AS int[]))
             AS free(channel, rank, room)
        CROSS JOIN LATERAL (
            SELECT id, due_at FROM deliveries
            WHERE state = 'pending' AND channel = free.channel AND lane_rank = free.rank AND due_at <= now()
            ORDER BY due_at LIMIT free.room FOR UPDATE SKIP LOCKED) AS each)
    UPDATE deliveries d SET due_at = now() + make_interval(secs => :hold)
    FROM due WHERE d.id = due.id
    RETURNING d.id, d.channel, d.lane_rank, CAST(extract(epoch FROM due.due_at) AS float8) AS was_due_at""")

DUE_IN = text("""
    SELECT CAST(extract(epoch FROM min(first.due_at) - now()) AS float8)
    FROM unnest(CAST(:channels AS text[]), CAST(:ranks AS smallint[])) AS bench(channel, rank)
    CROSS JOIN LATERAL (
        SELECT due_at FROM deliveries
        WHERE state = 'pending' AND channel = bench.channel AND lane_rank = bench.rank
        ORDER BY due_at LIMIT 1) AS first""")

ABANDONED = text(f"""
    SELECT {_COLUMNS} FROM deliveries d JOIN messages m ON m.id = d.message_id
    WHERE d.state = 'sending' AND d.lease_until < now() ORDER BY d.lease_until LIMIT :limit""")  # noqa: S608 - a constant

_OUTCOME = """
    SELECT d.id, d.message_id, d.channel, d.position, d.state, d.attempt, d.reason, d.provider_message_id,
           d.bot, d.chat_id, d.resent, m.request, m.trace
    FROM deliveries d JOIN messages m ON m.id = d.message_id"""

UNANNOUNCED = text(f"""
    {_OUTCOME} WHERE NOT d.announced AND d.updated_at < now() - make_interval(secs => :seconds)
    ORDER BY d.updated_at LIMIT :limit""")

OUTCOME = text(f"{_OUTCOME} WHERE d.id = :id AND NOT d.announced")

OUTCOMES_OF = text(f"{_OUTCOME} WHERE d.id = ANY(CAST(:ids AS uuid[]))")

# Told twice is told once: what a crash of the server forgets of this needs no fsync.
ANNOUNCED = text("""
    WITH moment AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE deliveries d SET announced = true
    FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:attempts AS int[]))
         AS told(id, state, attempt), moment
    WHERE d.id = told.id AND d.state = told.state AND d.attempt = told.attempt""")

# A press may come before anybody has noticed that the send is in doubt, and before it is sent once more.
SETTLE = text("""
    WITH unanswered AS (
        SELECT d.id, pressed.message_id
        FROM unnest(CAST(:ids AS uuid[]), CAST(:bots AS text[]), CAST(:chat_ids AS bigint[]),
                    CAST(:message_ids AS text[])) AS pressed (id, bot, chat_id, message_id)
        JOIN deliveries d ON d.id = pressed.id AND d.bot = pressed.bot AND d.chat_id = pressed.chat_id
        WHERE d.state IN ('ambiguous', 'sending') OR d.state = 'pending' AND d.resent
        ORDER BY d.id
        FOR UPDATE OF d
    )
    UPDATE deliveries d SET state = 'sent', reason = 'settled', lease_until = NULL, queue = NULL,
           announced = false, updated_at = now(),
           provider_message_id = coalesce(unanswered.message_id, d.provider_message_id)
    FROM unanswered WHERE d.id = unanswered.id
    RETURNING d.id, d.attempt, d.provider_message_id""")

ADD_CANCELLATION = text("""
    INSERT INTO promo_cancellations (id, schedule_id, promo_id, up_to)
    VALUES (:id, :schedule_id, :promo_id, :up_to) ON CONFLICT (id) DO NOTHING""")

CANCEL_PROMOS = text("""
    WITH unsent AS (
        SELECT d.id FROM deliveries d JOIN messages m ON m.id = d.message_id
        WHERE d.state = 'pending' AND m.lane = 'promo'
          AND CAST(m.request -> 'promo' ->> 'schedule_id' AS uuid) = :schedule_id
          AND (CAST(:promo_id AS text) IS NULL OR m.request -> 'promo' ->> 'promo_id' = :promo_id)
          AND CAST(m.request -> 'promo' ->> 'slot' AS timestamptz) <= :up_to
        ORDER BY d.id FOR NO KEY UPDATE OF d)
    UPDATE deliveries d SET state = 'suppressed', reason = 'cancelled', queue = NULL, announced = false,
           updated_at = now()
    FROM unsent WHERE d.id = unsent.id
    RETURNING d.id, d.attempt""")

ADD_MESSAGE_CANCELLATION = text("""
    INSERT INTO message_cancellations (message_id) VALUES (:message_id)
    ON CONFLICT (message_id) DO NOTHING""")

# Nothing is valid for longer than that: the door sees to it.
FORGET_MESSAGE_CANCELLATIONS = text("""
    DELETE FROM message_cancellations WHERE cancelled_at < now() - interval '91 days'""")

# What waits to be sent once more may have arrived: it can be left at that, not unsent.
CANCEL_MESSAGE = text("""
    UPDATE deliveries SET state = CASE WHEN resent THEN 'ambiguous' ELSE 'suppressed' END,
           reason = 'cancelled', queue = NULL, announced = false, updated_at = now()
    WHERE message_id = :message_id AND state = 'pending' RETURNING id, attempt, state""")

BURY = text("""
    UPDATE deliveries SET state = 'failed', reason = 'dead_letter', queue = NULL, announced = false,
           updated_at = now()
    WHERE message_id = :message_id AND state = 'pending' RETURNING id, attempt""")

NOTE = text("""
    INSERT INTO delivery_history (delivery_id, attempt, state, reason, provider_message_id)
    VALUES (:id, :attempt, :state, :reason, :provider_message_id)
    ON CONFLICT (delivery_id, attempt, state) DO NOTHING""")

IN_DOUBT = text("""
    SELECT d.id, d.message_id, d.channel, m.lane, m.user_id, m.campaign_id, d.attempt AS attempts, d.reason,
           d.updated_at
    FROM deliveries d JOIN messages m ON m.id = d.message_id
    WHERE d.state = 'ambiguous' AND (CAST(:campaign_id AS uuid) IS NULL OR m.campaign_id = :campaign_id)
      AND (CAST(:at AS timestamptz) IS NULL OR (d.updated_at, d.id) < (:at, CAST(:id AS uuid)))
    ORDER BY d.updated_at DESC, d.id DESC LIMIT :limit""")

MESSAGE = text("SELECT * FROM messages WHERE id = :id")
DELIVERIES = text("SELECT * FROM deliveries WHERE message_id = :id ORDER BY position")
STUMBLED = text("""
    SELECT true FROM bus_attempts
    WHERE durable = ANY(CAST(:durables AS text[])) AND event_key = :key AND failures > 0 LIMIT 1""")
HISTORY = text("""
    SELECT d.channel, h.* FROM delivery_history h JOIN deliveries d ON d.id = h.delivery_id
    WHERE d.message_id = :id ORDER BY h.at, d.position, h.attempt""")
