"""The bus: publishing with a fsynced PubAck, durable consumption, questions, dead letters.

It alone (with `shared.topology`, the topology as data) speaks to NATS. What it promises is held by
`tests/shared/bus/`, which runs it against the real server, a test for every pitfall.
"""

from shared.bus.asking import Answering, answering
from shared.bus.connection import Bus
from shared.bus.dead_letters import DeadLetter, DeadLetters
from shared.bus.errors import BusUnavailable, NoAnswer, NobodyThere, Refusal, RetryLater, TooLarge
from shared.bus.reading import Progress, Stored, Streams
from shared.bus.records import AttemptsRecord, Begun
from shared.bus.routes import BatchRoute, Receipt, Route, on, on_batch, on_batch_or_alone, on_dead_letter
from shared.bus.trimming import as_unavailable

__all__ = [
    "Answering",
    "AttemptsRecord",
    "BatchRoute",
    "Begun",
    "Bus",
    "BusUnavailable",
    "DeadLetter",
    "DeadLetters",
    "NoAnswer",
    "NobodyThere",
    "Progress",
    "Receipt",
    "Refusal",
    "RetryLater",
    "Route",
    "Stored",
    "Streams",
    "TooLarge",
    "answering",
    "as_unavailable",
    "on",
    "on_batch",
    "on_batch_or_alone",
    "on_dead_letter",
]
