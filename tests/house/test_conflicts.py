"""Statements that expect a conflict of one key: nothing else that they insert may conflict before it."""

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module

import pytest
from sqlalchemy import MetaData, Table, TextClause, UniqueConstraint

SERVICES = ("scheduler", "clicks", "senders", "gateway")
_INSERT = re.compile(
    r"INSERT INTO (?P<table>\w+)(?: AS \w+)? \((?P<columns>[^)]*)\)"
    r"(?:(?!INSERT INTO).)*?ON CONFLICT \((?P<arbiter>[^)]*)\)",
    re.DOTALL,
)


def statements(service: str) -> Iterator[tuple[str, TextClause]]:
    """Yield the statements of a service's store, by name."""
    store = import_module(f"services.{service}.store")
    for module in pkgutil.iter_modules(store.__path__, f"{store.__name__}."):
        for name, value in vars(import_module(module.name)).items():
            if isinstance(value, TextClause):
                yield f"{module.name}.{name}", value


def immediate_keys(table: Table) -> list[set[str]]:
    """Return the columns of each unique key of a table that is compared row by row."""
    constraints = [
        table.primary_key,
        *(each for each in table.constraints if isinstance(each, UniqueConstraint)),
    ]
    return [
        *({column.name for column in each.columns} for each in constraints if not each.deferrable),
        *({column.name for column in index.columns} for index in table.indexes if index.unique),
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_a_statement_that_names_one_key_meets_no_other(service: str) -> None:
    """ON CONFLICT (key) fails of any other unique key that a row inserted at the same time has in common.

    Such a key is deferrable, or of columns that the statement does not write, or the statement names none.
    """
    metadata: MetaData = import_module(f"services.{service}.store.tables").metadata
    found = [
        (name, said)
        for name, statement in statements(service)
        for said in _INSERT.finditer(str(statement))
        if said["table"] in metadata.tables
    ]
    assert found
    for name, said in found:
        written, arbiter = words(said["columns"]), words(said["arbiter"])
        others = [key for key in immediate_keys(metadata.tables[said["table"]]) if key != arbiter]
        assert not [key for key in others if key <= written], name


def words(columns: str) -> set[str]:
    """Return the names in a list of columns."""
    return set(re.findall(r"\w+", columns))
