"""The promises that events make: names, subjects and every sample ever shipped.

`events/<name on the wire>.json` is a full sample; `<name>+<variant>.json` is another shape of it. A sample
that has been shipped is never changed: a new field gets a new variant.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from shared import events, topology
from shared.bus.envelope import written
from shared.events import Event

SAMPLES = sorted(Path(__file__).with_name("events").glob("*.json"))
BY_NAME = {event_class.name: event_class for event_class in events.ALL}
HANDLED_BY: dict[type[Event], set[str]] = {
    events.PromoDue: {"senders_promos", "scheduler_promos"},
    events.SlotSkipped: {"scheduler_promos"},
    events.PromoCancelled: {"senders_cancellations"},
    events.ButtonClicked: {"clicks_presses", "senders_presses", "gateway_presses"},
    events.ClickAnnotated: {"clicks_annotations"},
    events.PromoPosted: {"scheduler_outcomes", "clicks_posts"},
    events.MessageSent: {"scheduler_outcomes"},
    events.MessageFailed: {"scheduler_outcomes"},
    events.MessageSuppressed: {"scheduler_outcomes"},
    events.MessageAmbiguous: {"scheduler_outcomes"},
    events.CampaignChanged: {"gateway_campaigns"},
    events.UpdateReceived: {"gateway_updates"},
    events.UpdateHandled: set(),
    events.RecipientChanged: set(),
    events.RecipientForgotten: {"scheduler_forgotten", "clicks_forgotten", "gateway_forgotten"},
    events.ChatChanged: set(),
}
"""Who takes which event; of MessageRequested exactly one durable does, that of its lane and channel."""


def class_of(sample: Path) -> type[Event]:
    """Return the class of a sample, which its file's name tells."""
    return BY_NAME[sample.stem.partition("+")[0]]


def event_of(sample: Path) -> Event:
    """Parse a sample."""
    return class_of(sample).model_validate_json(sample.read_bytes())


def matches(pattern: str, subject: str) -> bool:
    """Tell whether a NATS subject pattern matches a subject (`*` is one word, `>` the rest)."""
    wanted, words = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        return len(words) >= len(wanted) and matches(
            ".".join(wanted[:-1]), ".".join(words[: len(wanted) - 1])
        )
    return len(wanted) == len(words) and all(
        want in ("*", word) for want, word in zip(wanted, words, strict=True)
    )


def durables_of(event: Event) -> set[str]:
    """Return the durables whose filter lets an event through."""
    return {
        durable.name
        for durable in topology.DURABLES
        if any(matches(pattern, event.subject()) for pattern in durable.subjects)
    }


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_sample_round_trips(sample: Path) -> None:
    """What was ever published can still be read, and nothing of it gets lost."""
    event = event_of(sample)

    now: dict[str, Any] = json.loads(written(event))

    shipped = json.loads(sample.read_bytes())
    assert {name: now[name] for name in shipped} == shipped
    assert type(event).model_validate_json(written(event)) == event


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_an_event_is_written_as_its_model_says(sample: Path) -> None:
    """What goes over the wire is, byte for byte, what pydantic writes."""
    event = event_of(sample)

    assert written(event) == event.model_dump_json().encode()


@pytest.mark.parametrize("odd", [10**30, float("inf"), float("nan"), 1e16, 0.1, "\x00\x7f\u2028", None])
def test_an_odd_value_of_an_update_is_written_as_its_model_says(odd: Any) -> None:
    """Strangers send numbers beyond 64 bits, and what was no number: all of it can be read again."""
    sample = event_of(Path(__file__).with_name("events") / "update.received.json")

    event = sample.model_copy(update={"update": {"odd": [odd]}})

    assert json.loads(written(event)) == json.loads(event.model_dump_json())
    assert type(event).model_validate_json(written(event))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_unknown_fields_are_tolerated(sample: Path) -> None:
    """A newer publisher may say more than this consumer knows, also inside an event's parts."""

    def with_more(value: Any) -> Any:
        if isinstance(value, dict):
            return {**{name: with_more(part) for name, part in value.items()}, "not_known_yet": {"deep": [1]}}
        return [with_more(part) for part in value] if isinstance(value, list) else value

    shipped = json.loads(sample.read_bytes())
    free = {"variables", "metadata", "update"}  # these hold what others choose, so more would mean more
    newer = {name: part if name in free else with_more(part) for name, part in shipped.items()}

    event = class_of(sample).model_validate_json(json.dumps({**newer, "not_known_yet": 1}))

    assert event == event_of(sample)


@pytest.mark.parametrize("event_class", events.ALL, ids=lambda event_class: event_class.name)
def test_every_field_has_a_sample(event_class: type[Event]) -> None:
    """Every event has a sample, and every field of it is given a value in one of them."""
    given: set[str] = set()
    for sample in SAMPLES:
        if class_of(sample) is event_class:
            given |= {
                name for name, part in json.loads(sample.read_bytes()).items() if part not in (None, [], {})
            }

    rare = {
        events.Outcome: {"campaign_id", "chat_id", "bot", "promo", "reason", "user_id", "provider_message_id"}
    }
    excused = next((names for parent, names in rare.items() if issubclass(event_class, parent)), set())
    assert set(event_class.model_fields) - excused <= given


@pytest.mark.parametrize("field", sorted(events.Outcome.model_fields))
def test_every_field_of_an_outcome_has_a_sample(field: str) -> None:
    """Outcomes share their fields, so each of these is given a value in the sample of one of them."""
    outcomes = [event_of(sample) for sample in SAMPLES if issubclass(class_of(sample), events.Outcome)]

    assert any(getattr(outcome, field) is not None for outcome in outcomes)


def test_names_and_subjects_are_unique() -> None:
    """One event, one name, one subject."""
    assert len({event_class.name for event_class in events.ALL}) == len(events.ALL)
    assert len({event_class.pattern for event_class in events.ALL}) == len(events.ALL)
    for sample in SAMPLES:
        subject = event_of(sample).subject()
        assert [each for each in events.ALL if matches(each.pattern, subject)] == [class_of(sample)]


def test_every_event_class_is_listed() -> None:
    """A class that is left out of `ALL` would be published and never understood."""

    def leaves(parent: type[Event]) -> set[type[Event]]:
        # Those of tests are in other modules.
        children = [each for each in parent.__subclasses__() if each.__module__ == events.__name__]
        return {leaf for child in children for leaf in leaves(child)} if children else {parent}

    ours = leaves(Event)
    assert ours == set(events.ALL)
    assert set(events.OUTCOMES) == {leaf for leaf in ours if issubclass(leaf, events.Outcome)}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_one_stream_keeps_it(sample: Path) -> None:
    """Every event is kept by exactly one stream, and its durables read that stream."""
    event = event_of(sample)

    streams = [
        stream.name
        for stream in topology.STREAMS
        if any(matches(pattern, event.subject()) for pattern in stream.subjects)
    ]

    assert len(streams) == 1
    assert {topology.durable(name).stream for name in durables_of(event)} <= set(streams)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_durables_cover_it(sample: Path) -> None:
    """An event reaches everybody who is said to handle it, and nobody else."""
    event = event_of(sample)

    if isinstance(event, events.MessageRequested):
        first = event.channels[0] if event.channels else events.DEFAULT_CHAIN[0]
        assert durables_of(event) == {f"senders_{event.lane}_{first}"}
    else:
        assert durables_of(event) == HANDLED_BY[type(event)]


def test_every_request_finds_a_durable() -> None:
    """Whatever lane and channel a message asks for, one durable serves exactly that."""
    template = next(event_of(sample) for sample in SAMPLES if class_of(sample) is events.MessageRequested)

    for lane in (events.Lane.TRANSACTIONAL, events.Lane.CAMPAIGN):
        for channels in [(), *((channel,) for channel in events.Channel)]:
            request = template.model_copy(update={"lane": lane, "channels": channels})
            assert durables_of(request) == {f"senders_{lane}_{(channels or events.DEFAULT_CHAIN)[0]}"}
