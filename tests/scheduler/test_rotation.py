"""Whose turn it is."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.catalogue import Promo
from services.scheduler.domain.rotation import Turn, next_promo


def promo(name: str, position: int, *, enabled: bool = True) -> Promo:
    """Return a promo that differs in what rotation looks at."""
    return Promo(name, name, "Go", name, None, name, enabled, position)


def turn_of(chosen: Promo | None) -> Turn:
    """Return the turn that a promo has taken."""
    assert chosen is not None
    return Turn(chosen.id, chosen.position)


catalogues = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 4), st.booleans()),
    max_size=8,
    unique_by=lambda each: each[0],
).map(lambda entries: [promo(name, position, enabled=enabled) for name, position, enabled in entries])


@given(catalogue=catalogues, last=st.none() | st.builds(Turn, st.sampled_from("abcxyz"), st.integers(0, 4)))
def test_a_round_takes_every_enabled_promo_once_in_order(catalogue: list[Promo], last: Turn | None) -> None:
    """From any state, as many slots as there are enabled promos take each of them once, then it wraps."""
    enabled = sorted((each for each in catalogue if each.enabled), key=lambda each: each.place)
    taken: list[Promo] = []
    for _ in enabled:
        chosen = next_promo(catalogue, last)
        last = turn_of(chosen)
        assert chosen is not None
        taken.append(chosen)
    assert sorted(taken, key=lambda each: each.place) == enabled
    if enabled:
        start = enabled.index(taken[0])
        assert taken == enabled[start:] + enabled[:start]
        assert next_promo(catalogue, last) == taken[0]
    else:
        assert next_promo(catalogue, last) is None


def test_the_first_turn_is_the_first_promo_s() -> None:
    """Without a history the rotation starts at the beginning."""
    assert next_promo([promo("b", 2), promo("a", 1)], None) == promo("a", 1)


def test_a_disabled_promo_keeps_the_place_of_the_rotation() -> None:
    """Disabling the promo whose turn it was goes on behind it, not at the beginning."""
    catalogue = [promo("a", 1), promo("b", 2, enabled=False), promo("c", 3)]
    assert next_promo(catalogue, Turn("b", 2)) == promo("c", 3)


def test_a_deleted_promo_keeps_the_place_of_the_rotation() -> None:
    """A promo that is gone is remembered by the position it had."""
    assert next_promo([promo("a", 1), promo("c", 3)], Turn("b", 2)) == promo("c", 3)


def test_a_moved_promo_takes_the_rotation_with_it() -> None:
    """After a reorder the rotation goes on behind the promo's place of today."""
    moved = replace(promo("a", 1), position=9)
    assert next_promo([promo("b", 2), moved, promo("z", 10)], Turn("a", 1)) == promo("z", 10)
