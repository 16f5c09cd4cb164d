"""Ids say the same thing the same way, always."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared import events, ids

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis wants naive bounds


@given(st.uuids(version=None))
def test_short_id_round_trips(value: UUID) -> None:
    """Every id fits into 22 characters that callback data may carry, and comes back from them."""
    short = ids.to_short(value)

    assert len(short) == 22
    assert set(short) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert ids.from_short(short) == value


@given(st.one_of(st.text(max_size=30), st.text(alphabet="AZaz09-_+/=é", min_size=22, max_size=22)))
def test_junk_is_refused_or_is_an_id(text: str) -> None:
    """Callback data from outside is either exactly one id's spelling or a ValueError, nothing else."""
    try:
        value = ids.from_short(text)
    except ValueError:
        return
    assert ids.to_short(value) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 21,
        "A" * 23,
        "A" * 20 + "==",
        "A" * 21 + "B",
        "A" * 21 + "é",
        "A" * 21 + "+",
        " " + "A" * 21,
        "A" * 10 + "\n" + "A" * 11,
        "\uff16" * 22,
    ],
)
def test_junk_is_refused(text: str) -> None:
    """Wrong length, padding, a second spelling, the other alphabet and white space are no ids."""
    with pytest.raises(ValueError, match=r".+"):
        ids.from_short(text)


@given(st.uuids(), MOMENTS, st.integers(), OFFSETS)
def test_derived_id_ignores_the_time_zone(schedule: UUID, slot: datetime, chat: int, zone: timezone) -> None:
    """A slot is an instant: two replicas in two time zones derive one id for its post."""
    assert events.promo_due_id(schedule, slot, chat) == events.promo_due_id(
        schedule, slot.astimezone(zone), chat
    )


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_different_keys_have_different_ids(one: list[str], other: list[str]) -> None:
    """Ids meet only where what they name is the same."""
    assume(all("\x1f" not in word for word in one + other))

    assert (ids.derived("kind", *one) == ids.derived("kind", *other)) == (one == other)


def test_ids_never_change() -> None:
    """Stored rows and published events carry these ids: deriving them otherwise would double everything."""
    schedule = UUID("5b0d6c1e-4a57-5d0e-8a4e-0f6b7c3d2a11")
    slot = datetime(2026, 3, 29, 8, tzinfo=UTC)
    message = events.promo_due_id(schedule, slot, -1001987654321)

    assert str(message) == "e10719a2-2656-5270-85c1-037932cdae78"
    assert str(ids.delivery_of(message, "telegram")) == "095846fb-5e0c-5918-b05e-1477d772ac85"
    assert str(ids.user_of_telegram(7123456789)) == "cdb6fb94-99ec-5893-9407-0c2a847b826a"
    assert str(events.click_id(7012345678, 918273645)) == "69e3793e-4804-5614-9966-c64cf5f696a4"
