"""The broker's streams and durable consumers, as data; `deploy.prepare` makes the broker match it."""

from dataclasses import dataclass

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

DEDUPE_WINDOW_SECONDS = 3600
MIB = 1024 * 1024
CHANNELS = ("telegram", "email", "push")


@dataclass(frozen=True)
class Stream:
    """A stream: what it keeps, and how much of it (bytes; a full stream refuses, it never drops)."""

    name: str
    subjects: tuple[str, ...]
    max_bytes: int = 1024 * MIB
    max_age_seconds: int = 0
    """Only ADVISORIES has an age: expiry would drop what nobody has read, in just the outage that matters."""


@dataclass(frozen=True)
class Durable:
    """A durable pull consumer: `<service>_<what it handles>`.

    `concurrency` handlers run at once; with `batch` above 1 one handler takes up to so many events (where
    some are handled each alone, `concurrency` counts those).
    `slowest_seconds` is the slowest handler: the ack wait is three times that, with in-progress signals
    beyond.
    """

    name: str
    stream: str
    subjects: tuple[str, ...]
    concurrency: int = 16
    batch: int = 1
    slowest_seconds: float = 10.0

    @property
    def service(self) -> str:
        """The service that consumes it."""
        return self.name.split("_", 1)[0]

    @property
    def max_ack_pending(self) -> int:
        """Messages out at once: room for delayed NAKs, which count too."""
        return max(1000, self.concurrency * self.batch * 4)


STREAMS: tuple[Stream, ...] = (
    # Exactly the subjects that somebody consumes, or rebuilds his tables from: what nobody would handle is
    # refused, not forgotten.
    Stream("PROMOS", ("promos.due", "promos.skipped", "promos.cancelled")),
    Stream("CLICKS", ("clicks.pressed", "clicks.annotated")),
    Stream("TRANSACTIONAL", tuple(f"messages.transactional.{channel}" for channel in CHANNELS)),
    Stream("CAMPAIGN", tuple(f"messages.campaign.{channel}" for channel in CHANNELS)),
    Stream("OUTCOMES", ("outcomes.*.*", "campaigns.changed")),
    Stream("UPDATES", ("updates.*", "handled.*")),
    Stream("RECIPIENTS", ("recipients.changed.*", "recipients.forgotten.*", "chats.changed.*")),
    Stream("DLQ", ("dlq.*",)),
    Stream("DISCARDED", ("discarded.*",)),
    Stream(
        "ADVISORIES",
        (
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
            "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
        ),
        max_bytes=64 * MIB,
        max_age_seconds=7 * 86_400,
    ),
)

TRIMMED = tuple(each.name for each in STREAMS if each.name not in ("DLQ", "DISCARDED", "ADVISORIES"))
"""What is trimmed by age; dead letters stay until somebody decides, and those given up for the books."""

DURABLES: tuple[Durable, ...] = (
    Durable("scheduler_promos", "PROMOS", ("promos.due", "promos.skipped"), concurrency=2, batch=250),
    Durable("scheduler_outcomes", "OUTCOMES", ("outcomes.>",), concurrency=4),
    Durable("clicks_presses", "CLICKS", ("clicks.pressed",), concurrency=2, batch=500),
    Durable("clicks_annotations", "CLICKS", ("clicks.annotated",), concurrency=1, batch=100),
    Durable("clicks_posts", "OUTCOMES", ("outcomes.posted.>",), concurrency=1, batch=100),
    Durable("senders_promos", "PROMOS", ("promos.due",), concurrency=16, slowest_seconds=35.0),
    Durable("senders_cancellations", "PROMOS", ("promos.cancelled",), concurrency=1),
    *(
        Durable(
            f"senders_{lane}_{channel}",
            lane.upper(),
            (f"messages.{lane}.{channel}",),
            concurrency=16,
            slowest_seconds=35.0,
        )
        for lane in ("transactional", "campaign")
        for channel in CHANNELS
    ),
    Durable("senders_presses", "CLICKS", ("clicks.pressed",), concurrency=2, batch=500),
    Durable(
        "senders_dead_letters",
        "DLQ",
        (
            "dlq.senders_promos",
            *(f"dlq.senders_{lane}_{channel}"
              for lane in ("transactional", "campaign") for channel in CHANNELS),
        ),
        concurrency=1,
    ),
    Durable("scheduler_forgotten", "RECIPIENTS", ("recipients.forgotten.*",), concurrency=1),
    Durable("clicks_forgotten", "RECIPIENTS", ("recipients.forgotten.*",), concurrency=1),
    Durable("gateway_forgotten", "RECIPIENTS", ("recipients.forgotten.*",), concurrency=1),
    Durable("gateway_updates", "UPDATES", ("updates.>",), concurrency=64, batch=100),
    Durable("gateway_campaigns", "OUTCOMES", ("campaigns.changed",), concurrency=1),
    Durable("gateway_presses", "CLICKS", ("clicks.pressed",), concurrency=1, batch=500),
)  # fmt: skip


def durable(name: str) -> Durable:
    """Return the durable of that name; raises KeyError where there is none."""
    return {each.name: each for each in DURABLES}[name]


def stream_config(stream: Stream, *, replicas: int = 1) -> StreamConfig:
    """Return the broker's configuration of a stream."""
    keeps_all = stream.max_age_seconds == 0
    return StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW if keeps_all else DiscardPolicy.OLD,
        max_bytes=stream.max_bytes,
        max_age=float(stream.max_age_seconds),
        duplicate_window=float(DEDUPE_WINDOW_SECONDS),
        num_replicas=replicas,
        allow_direct=True,
        allow_atomic=keeps_all,
    )


def durable_config(durable: Durable, *, ack_wait_seconds: float | None = None) -> ConsumerConfig:
    """Return the broker's configuration of a durable; `ack_wait_seconds` shortens it for demo and tests."""
    return ConsumerConfig(
        name=durable.name,
        durable_name=durable.name,
        filter_subjects=list(durable.subjects),
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait_seconds or 3 * durable.slowest_seconds,
        max_deliver=-1,
        max_ack_pending=durable.max_ack_pending,
    )
