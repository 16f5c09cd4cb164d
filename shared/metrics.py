"""Every Prometheus metric of the system; labels are bounded, nothing a user typed becomes one."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

UPDATES = Counter("telegram_updates", "Updates received", ["bot", "kind", "status"])
COMMANDS = Counter("telegram_commands", "Bot commands handled", ["command", "status"])
VERIFICATION_FAILURES = Counter("telegram_verification_failures", "Webhook calls refused", ["reason"])
UPDATE_SECONDS = Histogram(
    "telegram_webhook_duration_seconds", "From a webhook's request to its answer",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)  # fmt: skip

RUSH_SECONDS = Counter("telegram_rush_seconds", "Seconds in which updates at the door went first")

MARKETING_POSTS = Counter("marketing_posts", "Promos posted", ["promo_id"])
MARKETING_CLICKS = Counter("marketing_clicks", "Promo presses stored", ["promo_id"])
LINKS_UNRECORDED = Counter("link_clicks_unrecorded", "Followed links that could not be recorded in time")
SLOTS_SKIPPED = Counter("marketing_slots_skipped", "Slots that passed without a post", ["reason"])

MESSAGES_ENQUEUED = Counter("messages_enqueued", "Messages accepted", ["priority", "channel"])
MESSAGES_SENT = Counter("messages_sent", "Messages the provider took", ["channel", "type"])
MESSAGES_FAILED = Counter("message_fail", "Messages that failed", ["reason", "channel"])
MESSAGES_SUPPRESSED = Counter("message_suppressed", "Messages not sent on purpose", ["reason", "channel"])
AMBIGUOUS_SENDS = Counter("ambiguous_sends", "Sends that the provider may have taken", ["channel", "lane"])
SEND_SECONDS = Histogram("message_send_duration_seconds", "Duration of a send at the provider", ["channel"])
TELEGRAM_SENT = Counter("telegram_messages_sent", "Messages Telegram took", ["type"])
TELEGRAM_ERRORS = Counter("telegram_api_errors", "Errors of the Bot API", ["error_type"])
PUSH_SENT = Counter("push_notifications_sent", "Push notifications taken", ["type"])
PUSH_EXPIRED = Counter("push_subscription_expired", "Push subscriptions found expired")
POSITION_ALERTS = Counter("position_failure_alerts_sent", "Position-failure alerts sent", ["type", "channel"])
RATE_LIMIT_WAITS = Counter("rate_limit_waits", "Sends that waited for a limit", ["key"])
RATE_LIMIT_WAIT_SECONDS = Counter("rate_limit_wait_seconds", "Seconds that sends waited for a limit", ["key"])
RATE_LIMIT_SLOTS = Counter("rate_limit_slots", "Slots of a limit, used or lost", ["key", "use"])
RATE_LIMIT_RATE = Gauge("rate_limit_slots_per_second", "Slots that a limit offers", ["key"])
RATE_LIMIT_PAUSES = Counter("rate_limit_pauses", "Pauses that a provider asked for", ["key"])
UNSUBSCRIBED = Counter("unsubscribed", "Times that somebody left campaigns by the link in a letter")

DEAD_LETTERS = Counter("dead_letters", "Events buried", ["consumer", "reason"])
CONSUMER_LAG = Gauge("consumer_lag", "Events that a durable has not handled yet", ["consumer"])
CONSUMER_OLDEST = Gauge(
    "consumer_oldest_age_seconds", "Age of the event a durable handled last", ["consumer"]
)
STREAM_TRIMS = Counter("stream_trims", "Times that the streams were to be trimmed", ["outcome"])
STREAM_TRIMMED = Counter("stream_events_trimmed", "Events trimmed from a stream", ["stream"])
STREAM_HELD = Gauge("stream_trim_held_back", "Consumers that hold trimming of a stream back", ["stream"])
EVENT_SECONDS = Histogram("event_handling_duration_seconds", "Duration of a handler", ["consumer"])
API_REQUESTS = Counter("api_requests", "HTTP API requests", ["route", "method", "status"])


@cache
def counter(metric: Counter, *labels: object) -> Counter:
    """Return the counter of a metric for these labels, in their order; found once, for the hot paths."""
    return metric.labels(*labels)
