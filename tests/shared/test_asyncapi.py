"""The AsyncAPI document tells of every event and every question, and refers to nothing that is not there."""

from typing import Any

import orjson
import pytest

from shared import events, queries, topology
from shared.asyncapi import covers, document

DOCUMENT = orjson.loads(orjson.dumps(document("1.2.3")))


def resolved(reference: str) -> Any:
    """Return what a reference within the document refers to."""
    place: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


def references(value: Any) -> list[str]:
    """Return every reference in a value."""
    if isinstance(value, dict):
        inner = [each for item in value.values() for each in references(item)]
        return [value["$ref"], *inner] if isinstance(value.get("$ref"), str) else inner
    return [each for item in value for each in references(item)] if isinstance(value, list) else []


def test_every_reference_leads_somewhere() -> None:
    """Whoever follows a reference finds a message, a channel or a schema."""
    found = references(DOCUMENT)
    assert len(found) > 100
    for each in found:
        assert isinstance(resolved(each), dict), each


def test_it_is_a_document_of_asyncapi_3() -> None:
    """What AsyncAPI 3.0 requires of documents, channels and operations is there, and nothing else."""
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    assert set(DOCUMENT) == {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"}
    for name, channel in DOCUMENT["channels"].items():
        assert set(channel) <= {"address", "title", "description", "messages", "parameters"}, name
        in_address = {part[1:-1] for part in (channel["address"] or "").split(".") if part.startswith("{")}
        assert in_address == set(channel.get("parameters", {})), name
        assert len(channel["messages"]) == 1, name
    for name, operation in DOCUMENT["operations"].items():
        assert operation["action"] == "receive", name
        channel = resolved(operation["channel"]["$ref"])
        for message in operation["messages"]:
            assert resolved(message["$ref"]) in channel["messages"].values(), name
    for message in DOCUMENT["components"]["messages"].values():
        assert resolved(message["payload"]["$ref"])["type"] == "object"


def test_everything_is_told() -> None:
    """Every event has a channel, every durable an operation, every question both and a reply."""
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert {event.__name__ for event in events.ALL} <= set(DOCUMENT["components"]["messages"])
    assert {query.subject() for query in queries.ALL} <= addresses
    replies = [operation for operation in DOCUMENT["operations"].values() if "reply" in operation]
    assert len(replies) == len(queries.ALL)
    told = set(DOCUMENT["operations"])
    for durable in topology.DURABLES:
        if durable.stream != "DLQ":
            assert any(name.startswith(f"{durable.name}_") for name in told), durable.name


@pytest.mark.parametrize(
    ("subject", "pattern", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.*", True),
        ("a.*", "a.b", True),
        ("a.>", "a.*.*", True),
        ("a.>", "a", False),
        ("a.b", "a.b.c", False),
        ("a.b.c", "a.b", False),
        ("a.c", "a.b", False),
    ],
)
def test_subjects(subject: str, pattern: str, expected: bool) -> None:
    """A durable's subject takes what it names, and what a wildcard on either side lets through."""
    assert covers(subject, pattern) == expected
