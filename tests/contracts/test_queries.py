"""The promises that questions and answers between services make; a sample of each is kept in `queries/`."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared import queries
from shared.events import Value
from shared.queries import Query

SAMPLES = Path(__file__).with_name("queries")
SERVICES = {"scheduler", "clicks", "senders", "gateway"}


def file_name(query_class: type[Query[Value]]) -> str:
    """Return the name of the file that holds a query's sample."""
    return f"{query_class.service}.{query_class.name}.json"


@pytest.mark.parametrize("query_class", queries.ALL, ids=file_name)
@pytest.mark.parametrize("side", ["query", "reply"])
def test_sample_round_trips(query_class: type[Query[Value]], side: str) -> None:
    """What was ever asked or answered can still be read, whole, and with fields that are not known yet."""
    value_class: type[Value] = query_class if side == "query" else query_class.reply
    shipped: dict[str, Any] = json.loads((SAMPLES / file_name(query_class)).read_bytes())[side]

    value = value_class.model_validate_json(json.dumps({**shipped, "not_known_yet": 1}))
    written = json.loads(value.model_dump_json())

    assert {name: written[name] for name in shipped} == shipped
    assert set(value_class.model_fields) == set(written)


def test_every_sample_has_a_query() -> None:
    """No question that was ever shipped is forgotten."""
    assert {sample.name for sample in SAMPLES.glob("*.json")} == {file_name(each) for each in queries.ALL}


def test_subjects_are_unique() -> None:
    """One question, one subject, of a service that exists."""
    assert len({query_class.subject() for query_class in queries.ALL}) == len(queries.ALL)
    assert {query_class.service for query_class in queries.ALL} <= SERVICES


def test_every_query_class_is_listed() -> None:
    """A class that is left out of `ALL` would be held to nothing."""
    classes = [each for each in vars(queries).values() if isinstance(each, type) and issubclass(each, Query)]

    assert {each for each in classes if "name" in vars(each)} == set(queries.ALL)
