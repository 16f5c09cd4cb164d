"""Links that pass by the gateway lead where they were made to lead, and nowhere else."""

from datetime import UTC, datetime

import pytest

from shared import ids
from shared.links import BadLink, Links, Purpose
from shared.redirects import LONGEST, Redirect

LINKS = Links(["k" * 32])
NOW = datetime(2026, 3, 1, tzinfo=UTC)
PUBLIC = "https://carillon.example/"


def token_of(link: str) -> str:
    """Return the token in a link."""
    assert link.startswith("https://carillon.example/r/")
    return link.rpartition("/")[2]


def test_a_link_says_what_it_was_made_of() -> None:
    """Where it leads and of what it is a part come back as they were."""
    said = Redirect(url="https://broker.example/?a=1&b=ü", delivery_id=ids.derived("d"), promo_id="bonus")
    assert Redirect.read(LINKS, token_of(said.signed(LINKS, PUBLIC)), NOW) == said


def test_what_is_too_long_leads_there_directly() -> None:
    """A link is rather not counted than cut off on its way."""
    said = Redirect(url="https://broker.example/" + "x" * LONGEST)
    assert said.signed(LINKS, PUBLIC) == said.url


@pytest.mark.parametrize(
    "said",
    [
        {"url": "javascript:alert(1)"},
        {"url": "ftp://broker.example"},
        {"url": "//broker.example"},
        {"url": "https://"},
        {"url": "https://[broker"},
        {"url": 5},
        {"promo_id": "bonus"},
    ],
)
def test_only_the_web_is_led_to(said: dict[str, str]) -> None:
    """Also under our own signature a link leads to the web only."""
    with pytest.raises(BadLink):
        Redirect.read(LINKS, LINKS.sign(Purpose.REDIRECT, said), NOW)


def test_other_tokens_are_no_links() -> None:
    """A token of another purpose, of a stranger's key, or with another target is none of ours."""
    said = {"url": "https://broker.example"}
    token = LINKS.sign(Purpose.REDIRECT, said)
    forged = Links(["x" * 32]).sign(Purpose.REDIRECT, {"url": "https://evil.example"})
    payload, signature = forged.split(".")[1], token.split(".")[2]
    for wrong in (LINKS.sign(Purpose.UNSUBSCRIBE, said), forged, f"1.{payload}.{signature}", "https://evil"):
        with pytest.raises(BadLink):
            Redirect.read(LINKS, wrong, NOW)
