"""`carillon why`: whoever has an id finds the whole story behind it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from carillon.why.wanted import NoId, read
from tests.journeys.conftest import Running, World

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]


def why(stack: Running, which: str) -> list[dict[str, Any]]:
    """Ask for a story, as JSON."""
    found = stack.command("why", which, "--json")
    assert found.returncode == 0, found.stderr
    story: list[dict[str, Any]] = json.loads(found.stdout)["story"]
    return story


def every(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every step of a story, each before what followed from it."""
    for node in nodes:
        yield node
        yield from every(node["followed"])


def what(nodes: list[dict[str, Any]]) -> set[str]:
    """Return what happened."""
    return {step["what"] for step in every(nodes)}


@pytest.mark.long
async def test_a_slot_an_update_and_a_message_tell_their_lives(stack: Running, world: World) -> None:
    """From a slot to the press on its post, from an update to its answer, a message with its tries."""
    promo = await world.promo()
    press = {"chat_id": promo["chat_id"], "message_id": promo["message_id"], "user_id": 1001}
    await world.telegram("/press", press)

    async def counted() -> bool:
        question = "SELECT count(*) FROM marketing_clicks WHERE chat_id = $1"
        return bool(await world.rows("clicks", question, press["chat_id"]))

    await world.until(counted)
    _, log = await world.api("GET", "/promo-log")
    entry = log["items"][-1]
    slot = why(stack, f"{entry['schedule_id']}@{entry['slot']}")
    assert {
        "promo.due", "message accepted (promo)", "telegram delivery: sent", "promo.posted", "click.pressed",
        "press counted (button)", "promo log: sent",
    } <= what(slot)  # fmt: skip
    due = next(step for step in every(slot) if step["what"] == "promo.due")
    assert {"message accepted (promo)"} <= {step["what"] for step in due["followed"]}
    times = [step["at"] for step in slot]
    assert times == sorted(times)

    address = {"email": "why@example.com"}
    message = {"address": address, "channels": ["email"], "body": {"text": "private words"}}
    _, accepted = await world.api("POST", "/messages", message)
    ended = await world.message(accepted["id"])
    story = why(stack, accepted["id"])
    assert {"message.requested", "email delivery: sent", "attempt 1: sent", "message.sent"} <= what(story)
    assert what(why(stack, ended["deliveries"][0]["id"])) == what(story)
    shown = json.dumps(story)
    assert "why@example.com" not in shown
    assert "private" not in shown
    [trace_id] = {step["trace_id"] for step in every(story) if step["what"] == "message.requested"}
    assert "message.requested" in what(why(stack, trace_id))

    update: dict[str, Any] = {"update_id": 900_100, "message": {
        "message_id": 5, "date": 1_700_000_000, "chat": {"id": 1001, "type": "private"},
        "from": {"id": 1001, "is_bot": False, "first_name": "Ann"}, "text": "/help"}}  # fmt: skip
    assert await world.webhook(update) == 200

    async def answered() -> bool:
        return "message.sent" in what(why(stack, "900100"))

    await world.until(answered, 90)
    asked = why(stack, "900100")
    assert {"update.received", "message.requested", "telegram delivery: sent"} <= what(asked)


@pytest.mark.long
def test_what_is_no_id_is_said_to_be_none(stack: Running) -> None:
    """A text that names nothing and an id that nobody knows end with one line each."""
    for which, words in (("nonsense", "no id"), ("dlq:999999", "nothing is known")):
        found = stack.command("why", which)
        assert found.returncode != 0
        assert words in found.stderr
        assert "Traceback" not in found.stderr


@pytest.mark.parametrize("text", ["", "x", "dlq:", "dlq:x", "default@", "default@soon", "1:", "a@b@c"])
def test_nothing_else_is_an_id(text: str) -> None:
    """What is not of a known form is refused before anything is asked."""
    with pytest.raises(NoId):
        read(text)
