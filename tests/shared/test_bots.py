"""Bots by settings."""

import pytest

from shared.bots import parse_bots


@pytest.mark.parametrize(
    "token", ["1:", ":a", "1:a b", "1:a/b", "1:\u00fc", "\u0661:abc", "1:a\n", "9999999999999999999:a"]
)
def test_a_token_that_no_call_could_use_is_refused_at_the_door(token: str) -> None:
    """One rule, that of the client: what it would refuse later stops the process at its start."""
    with pytest.raises(ValueError, match="is not a bot token"):
        parse_bots(f'{{"one": "{token}"}}'.replace("\n", "\\n"))


def test_a_secret_is_ascii() -> None:
    """Telegram allows no other letters."""
    with pytest.raises(ValueError, match="webhook secret"):
        parse_bots('{"one": {"token": "1:a", "webhook_secret": "\u00fc"}}')
    assert parse_bots('{"one": {"token": "1:a", "webhook_secret": "a_-9"}}')["one"].id == 1
