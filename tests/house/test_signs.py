"""The sign at each service's door tells the truth.

A sign is the docstring of `services/<name>/__init__.py`: a sentence, then the sections `Consumes:`,
`Publishes:`, `Answers:` and `Stores:`, each at the start of a line. Durables and tables are named as they
are, events and queries by their classes; the rest is prose.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest
from sqlalchemy import MetaData

from carillon.rebuild import PROJECTING
from shared import events, queries, topology
from shared.database import Database

ROOT = Path(__file__).parents[2]
SERVICES = ("clicks", "gateway", "scheduler", "senders")
SECTIONS = ("Consumes", "Publishes", "Answers", "Stores")
EVENTS = {event_class.__name__: event_class for event_class in events.ALL}


def sign(service: str) -> dict[str, str]:
    """Return the sections of a service's sign."""
    text = ast.get_docstring(ast.parse((ROOT / "services" / service / "__init__.py").read_text())) or ""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def class_names(text: str) -> set[str]:
    """Return the words that are written like classes of two words and more."""
    return set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", text))


def names_in_code(service: str) -> tuple[set[str], set[str]]:
    """Return the names that a service's code mentions, and those of them that it calls."""
    mentioned: set[str] = set()
    called: set[str] = set()
    for file in (ROOT / "services" / service).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Name | ast.Attribute):
                mentioned.add(node.id if isinstance(node, ast.Name) else node.attr)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                called.add(node.func.id if isinstance(node.func, ast.Name) else node.func.attr)
    return mentioned, called


def metadata(service: str) -> MetaData:
    """Return the description of a service's tables."""
    store = importlib.import_module(f"services.{service}.store")
    if not hasattr(store, "metadata"):
        store = importlib.import_module(f"services.{service}.store.tables")
    found = store.metadata
    assert isinstance(found, MetaData)
    return found


def may_consume(service: str, event_class: type[events.Event]) -> bool:
    """Tell whether a durable of the service lets some events of the class through."""
    words = event_class.pattern.split(".")
    return any(
        all(
            word == want or "*" in (word, want) for word, want in zip(words, subject.split("."), strict=False)
        )
        for durable in topology.DURABLES
        if durable.service == service
        for subject in [each.replace(">", "*") for each in durable.subjects]
    )


@pytest.mark.parametrize("service", SERVICES)
def test_sign_has_its_sections(service: str) -> None:
    """Every sign has the same four sections, in the same order."""
    assert tuple(sign(service)) == SECTIONS


@pytest.mark.parametrize("service", SERVICES)
def test_consumes(service: str) -> None:
    """A sign names every durable of its service, no other, and only events that these bring."""
    consumes = sign(service)["Consumes"]

    assert set(re.findall(rf"\b{service}_[a-z_]+", consumes)) == {
        durable.name for durable in topology.DURABLES if durable.service == service
    }
    for name in class_names(consumes):
        assert may_consume(service, EVENTS[name]), name


@pytest.mark.parametrize("service", SERVICES)
def test_publishes(service: str) -> None:
    """A sign names every event that its service's code makes, and none that it never mentions."""
    published = class_names(sign(service)["Publishes"])
    mentioned, called = names_in_code(service)

    assert published <= set(EVENTS)
    assert called & set(EVENTS) <= published
    assert published <= mentioned


def test_every_event_is_published() -> None:
    """There is no event that nobody publishes."""
    assert set().union(*(class_names(sign(service)["Publishes"]) for service in SERVICES)) == set(EVENTS)


@pytest.mark.parametrize("service", SERVICES)
def test_answers(service: str) -> None:
    """A sign names every query that is asked of its service, and the code knows each."""
    answered = class_names(sign(service)["Answers"])

    assert answered == {each.__name__ for each in queries.ALL if each.service == service}
    assert answered <= names_in_code(service)[0]


@pytest.mark.parametrize("service", SERVICES)
def test_stores(service: str) -> None:
    """A sign names every table of its service, and what looks like a table is one, or a view."""
    stores = sign(service)["Stores"]
    tables = metadata(service).tables
    columns = {column.name for table in tables.values() for column in table.columns}
    migrations = "".join(
        each.read_text() for each in (ROOT / "services" / service / "migrations").glob("*.py")
    )
    views = set(re.findall(r"CREATE (?:OR REPLACE )?VIEW (\w+)", migrations))
    words = set(re.findall(r"\b[a-z][a-z_]*\b", stores))

    assert set(tables) | views <= words
    assert {word for word in words if "_" in word} <= set(tables) | views | columns
    assert re.search(r"\b([Pp]rojection|[Ss]tate)", stores), (
        "say which tables are projections and which are state"
    )


def test_rebuild_makes_every_projection() -> None:
    """Whatever a sign calls a projection can be dropped: `carillon rebuild` knows how to make it anew."""
    unused = Database.__new__(Database)
    for service in SERVICES:
        stores = sign(service)["Stores"]
        projections = re.search(r"[Pp]rojections?\b(.*?)(?:;|\.$)", stores, re.DOTALL)
        named = set(re.findall(r"`([a-z_]+)`", projections.group(1))) if projections else set()
        made = set(PROJECTING[service](unused).tables) if service in PROJECTING else set()

        assert made == named & set(metadata(service).tables), service
