"""The sums of a campaign: what a trigger has noted of every message that ended, and what waits."""

# `c` is the campaign's row. A message's state is its best delivery's: sent, else ambiguous, pending, failed,
# suppressed. What is pending is only counted where the list need not come to its end.
SUMS = """
    SELECT coalesce(sum(n) FILTER (WHERE state = 'sent'), 0)::int AS sent,
           coalesce(sum(n) FILTER (WHERE state = 'failed'), 0)::int AS failed,
           coalesce(sum(n) FILTER (WHERE state = 'suppressed'), 0)::int AS suppressed,
           coalesce(sum(n) FILTER (WHERE state = 'ambiguous'), 0)::int AS ambiguous,
           CASE WHEN c.status IN ('running', 'paused') AND c.expires_at > now()
                OR c.status IN ('draft', 'scheduled') THEN NULL
           ELSE (SELECT count(*)::int FROM deliveries d JOIN messages m ON m.id = d.message_id
                 WHERE d.state = 'pending' AND d.lane_rank = 2 AND m.campaign_id = c.id)
              + (SELECT count(*)::int FROM deliveries d JOIN messages m ON m.id = d.message_id
                 WHERE d.state = 'sending' AND d.lane_rank = 2 AND m.campaign_id = c.id)
           END AS pending
    FROM (SELECT k.state, k.messages AS n FROM campaign_sums k WHERE k.campaign_id = c.id
          UNION ALL SELECT t.is_now, 1 FROM campaign_tallies t WHERE t.campaign_id = c.id
          UNION ALL SELECT t.was, -1 FROM campaign_tallies t WHERE t.campaign_id = c.id) AS each"""
"""A lateral question about a campaign `c`; `pending` is null where it is the rest of the list."""

# The same from the ledger alone, for whoever wants to see that the sums are right.
RECOMPUTED = """
    SELECT campaign_id, state, count(*)::int AS messages FROM (
        SELECT m.campaign_id, best_state(array_agg(d.state)) AS state
        FROM messages m JOIN campaigns c ON c.id = m.campaign_id JOIN deliveries d ON d.message_id = m.id
        WHERE m.lane = 'campaign' GROUP BY m.campaign_id, m.id) AS each
    WHERE state IS NOT NULL GROUP BY campaign_id, state"""
