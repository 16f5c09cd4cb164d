"""Pressed buttons and their answers."""

import asyncio
from typing import Any

import pytest


async def _pressed(street: Any, **fields: Any) -> dict[str, Any]:
    """Press the button of a new message and return the update that a poll sees."""
    number = await street.post()
    await street.control("POST", "/press", chat_id=42, message_id=number, wait=0, **fields)
    (update,) = await street.result("getUpdates")
    press: dict[str, Any] = update["callback_query"]
    return press


async def test_press_shows_who_pressed_what(street: Any) -> None:
    """A callback query has a text id, its presser, the whole message, chat_instance, and the data."""
    press = await _pressed(street)
    assert isinstance(press["id"], str)
    assert isinstance(press["chat_instance"], str)
    assert press["from"]["id"] == 42
    assert press["message"]["text"] == "Look"
    assert press["data"] == "p1.premium.x"
    assert "game_short_name" not in press


async def test_forged_data_arrives_as_it_is(street: Any) -> None:
    """Callback data can be forged: the message need not contain such a button, nor be visible."""
    assert (await _pressed(street, data="forged"))["data"] == "forged"
    told = await street.control("POST", "/press", chat_id=42, message_id=5, data="stale", wait=0)
    (update,) = await street.result("getUpdates", offset=told["update_id"])
    press = update["callback_query"]
    assert press["message"] == {
        "chat": {"id": 42, "first_name": "Ann", "type": "private"},
        "message_id": 5,
        "date": 0,
    }


async def test_answer_is_taken_and_remembered(street: Any) -> None:
    """An answer is true and shows in the records, its cache_time within 0 and 30 days."""
    press = await _pressed(street)
    fields = {"text": "Thanks", "show_alert": True, "cache_time": 10**9}
    assert await street.result("answerCallbackQuery", callback_query_id=press["id"], **fields) is True
    (answer,) = (await street.control("GET", "/answers"))["answers"]
    assert (answer["text"], answer["show_alert"], answer["cache_time"]) == ("Thanks", True, 30 * 86_400)


async def test_late_answer_is_refused(street: Any) -> None:
    """After the deadline, and for an id nobody gave out, the answer comes too late."""
    press = await _pressed(street)
    await street.control("POST", "/clock", advance=16)
    for query_id in (press["id"], "12345", ""):
        assert await street.refusal("answerCallbackQuery", callback_query_id=query_id) == (
            400,
            "Bad Request: query is too old and response timeout expired or query ID is invalid",
        )


async def test_presses_past_their_deadline_are_forgotten(street: Any) -> None:
    """Memory holds the presses that can still be answered, not all there ever were."""
    for _ in range(3):
        await _pressed_only(street)
    await street.control("POST", "/clock", advance=16)
    await _pressed_only(street)
    assert len(street.telegram.cloud.world.bots[123456].presses) == 1


async def _pressed_only(street: Any) -> None:
    await street.control("POST", "/press", chat_id=42, message_id=5, data="x", wait=0)


@pytest.mark.parametrize(
    ("fields", "description"),
    [
        ({"text": "x" * 201}, "MESSAGE_TOO_LONG"),
        ({"url": "https://example.com/"}, "URL_INVALID"),
        ({"url": "https://t.me/another_bot?start=x"}, "URL_INVALID"),
        ({"url": "https://t.me/carillon_bot"}, "URL_INVALID"),
    ],
)
async def test_bad_answer_is_refused(street: Any, fields: dict[str, Any], description: str) -> None:
    """An answer holds 200 characters and opens only the bot's own deep link."""
    press = await _pressed(street)
    told = await street.refusal("answerCallbackQuery", callback_query_id=press["id"], **fields)
    assert told == (400, f"Bad Request: {description}")


async def test_answer_opens_the_bots_deep_link(street: Any) -> None:
    """The bot's own t.me link with a start parameter is what an answer may open."""
    press = await _pressed(street)
    url = "https://t.me/Carillon_bot?start=premium"
    assert await street.result("answerCallbackQuery", callback_query_id=press["id"], url=url)


async def test_whoever_presses_learns_the_answer(street: Any) -> None:
    """The control API's press tells update id, query id, delivery and answer of a polling bot."""
    number = await street.post()

    async def bot() -> None:
        (update,) = await street.result("getUpdates", timeout=30)
        query_id = update["callback_query"]["id"]
        await street.result("answerCallbackQuery", callback_query_id=query_id, text="Got it")

    told, _ = await asyncio.gather(
        street.control("POST", "/press", chat_id=42, message_id=number, wait=30), bot()
    )
    assert told["delivered"] is True
    assert told["answered"]["text"] == "Got it"
    assert told["answered"]["callback_query_id"] == told["callback_query_id"]


async def test_unanswered_press_says_so(street: Any) -> None:
    """A press that nobody takes is told as undelivered and unanswered, after a bounded wait."""
    number = await street.post()
    told = await street.control("POST", "/press", chat_id=42, message_id=number, wait=0.05)
    assert (told["delivered"], told["answered"]) == (False, None)


async def test_buttons_are_chosen_by_text_or_place(street: Any) -> None:
    """A press names its button by text or place; a URL button sends the bot nothing."""
    row = [{"text": "Site", "url": "https://example.com/"}, {"text": "A", "callback_data": "a"}]
    markup = {"inline_keyboard": [row, [{"text": "B", "callback_data": "b"}]]}
    sent = await street.result("sendMessage", chat_id=42, text="x", reply_markup=markup)
    at = {"chat_id": 42, "message_id": sent["message_id"], "wait": 0}
    for button in ({}, {"button": "B"}, {"button": 2}):
        await street.control("POST", "/press", **at, **button)
    told = await street.control("POST", "/press", **at, button="Site")
    assert told == {"url": "https://example.com/"}
    updates = await street.result("getUpdates")
    assert [update["callback_query"]["data"] for update in updates] == ["a", "b", "b"]
    await street.control("POST", "/press", expect=404, **at, button="C")


async def test_repeated_press_is_one_update_several_times(street: Any) -> None:
    """A duplicate delivery has the same update id and the same query id each time."""
    number = await street.post()
    await street.control("POST", "/press", chat_id=42, message_id=number, repeat=3, wait=0)
    updates = await street.result("getUpdates")
    assert len(updates) == 3
    assert len({update["update_id"] for update in updates}) == 1
    assert len({update["callback_query"]["id"] for update in updates}) == 1
