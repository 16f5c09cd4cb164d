"""Cursors go there and back, and nothing else is one."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cursors import from_cursor, to_cursor


@given(at=st.datetimes(timezones=st.just(UTC)), key=st.uuids())
def test_a_cursor_names_its_place(at: datetime, key: UUID) -> None:
    """A cursor is read as the time, to the microsecond, and the key that it was written from."""
    assert from_cursor(to_cursor(at, key)) == (at, key)


@pytest.mark.parametrize("text", ["", "x", "ä", "!" * 32, "A" * 31, "A" * 36, "f" + "_" * 31])
def test_anything_else_is_refused(text: str) -> None:
    """A cursor that no page gave is an error of its own kind, never a wrong page."""
    with pytest.raises(ValueError, match="the page before"):
        from_cursor(text)
