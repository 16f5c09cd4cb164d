"""Telegram's webhook, over a socket, with a real broker behind it."""

import asyncio
from typing import Any

import orjson
from prometheus_client import REGISTRY

from shared import ids
from shared.events import ButtonClicked, ClickSource, click_id
from tests.gateway.conftest import SECRET

DELIVERY = ids.derived("delivery", "one")
DATA = f"p1.premium.{ids.to_short(DELIVERY)}"


async def known_by_name(gateway: Any) -> None:
    """Wait until the gateway has learned the bot's name."""
    async with asyncio.timeout(60):
        while "url" not in (await gateway.hook(gateway.press(1, DATA)))[1]:
            await asyncio.sleep(0.02)


async def test_a_press_is_one_event_and_is_answered_in_the_response(gateway: Any) -> None:
    """A press is in the stream before the response, which itself opens the bot's deep link."""
    await known_by_name(gateway)
    status, answer = await gateway.hook(gateway.press(42, DATA))
    assert (status, answer) == (
        200,
        {
            "method": "answerCallbackQuery",
            "callback_query_id": "query42",
            "url": "https://t.me/carillon_bot?start=premium",
        },
    )
    presses = {each.update_id: each for each in await gateway.eventually(ButtonClicked, 2)}
    press = presses[42]
    assert press.id == click_id(123456, 42)
    assert (press.payload, press.delivery_id, press.source) == ("premium", DELIVERY, ClickSource.BUTTON)
    assert (press.chat_id, press.message_id) == (-1001234567890123, 2**40)
    assert (press.cta_text, press.bot, press.bot_id) == ("Get it 🚀", "default", 123456)
    assert press.person is not None
    assert (press.person.telegram_id, press.person.username) == (5, "ann")
    line = await gateway.logged(42)
    assert (line["kind"], line["status"], line["user_id"]) == ("callback_query", "handled", press.user_id)


async def test_the_same_update_twice_is_one_event(gateway: Any) -> None:
    """Telegram repeats updates: each is answered, only one has an effect; another update is another press."""
    for update_id in (7, 7, 8, 7):
        assert (await gateway.hook(gateway.press(update_id, DATA)))[0] == 200
    await gateway.eventually(ButtonClicked, 2)
    await gateway.logged(7)
    assert {press.update_id for press in gateway.published(ButtonClicked)} == {7, 8}


OTHER_DATA = [
    "p1.premium",
    "p2.premium." + "A" * 22,
    "p1..AAAAAAAAAAAAAAAAAAAAAA",
    "",
    "p1.a b." + "A" * 22,
    f"p1.{'x' * 33}.{'A' * 22}",
    "p1.premium." + "A" * 21 + "B",
    "nonsense",
    "p1.ü." + "A" * 22,
]


async def test_other_callback_data_is_answered_and_kept(gateway: Any) -> None:
    """Data that is malformed or of an unknown version does not leave a button spinning, and is no press."""
    for number, data in enumerate(OTHER_DATA):
        answer = {"method": "answerCallbackQuery", "callback_query_id": f"query{number}"}
        assert await gateway.hook(gateway.press(number, data)) == (200, answer), data
        assert (await gateway.logged(number))["kind"] == "callback_query", data
    assert gateway.published(ButtonClicked) == []


WEIRD = [
    {"from": "Ann"},
    {"from": None},
    {"from": {"id": "5"}},
    {"from": {"id": True}},
    {"from": {"id": 2**63}},
    {"message": "words"},
    {"message": {"message_id": "1", "chat": {"id": 1}}},
    {"message": {"message_id": 1}},
    {"message": {"message_id": 1, "chat": []}},
    {"data": None, "game_short_name": "chess"},
    {"data": 5},
    {"data": ["p1"]},
]


async def test_weird_presses_are_kept_as_they_are(gateway: Any) -> None:
    """A callback query of another shape is stored and answered: never an error, never a press."""
    for number, changes in enumerate(WEIRD):
        answer = {"method": "answerCallbackQuery", "callback_query_id": f"query{number}"}
        assert await gateway.hook(gateway.press(number, DATA, **changes)) == (200, answer), changes
        assert (await gateway.logged(number))["status"] == "ignored", changes
    assert gateway.published(ButtonClicked) == []


async def test_a_press_without_an_id_cannot_be_answered(gateway: Any) -> None:
    """What has no id to answer to is stored, and the response is empty."""
    for number, query in enumerate([None, 5, [], {"id": 5, "data": DATA}, {"id": "", "data": DATA}]):
        assert await gateway.hook({"update_id": number, "callback_query": query}) == (200, None), query
        assert (await gateway.logged(number))["status"] == "ignored", query


async def test_a_press_where_the_keyboard_is_not_told(gateway: Any) -> None:
    """An inaccessible or inline message, and a forged one, are presses too; the button's text is unknown."""
    gone = {"message": {"message_id": 4, "date": 0, "chat": {"id": 6, "type": "private"}}}
    inline = {"message": None, "inline_message_id": "x"}
    odd = {"message": {"message_id": 4, "chat": {"id": 6}, "reply_markup": {"inline_keyboard": [5, [5, {}]]}}}
    for update_id, changes in enumerate((gone, inline, odd)):
        assert (await gateway.hook(gateway.press(update_id, DATA, **changes)))[0] == 200
    presses = {each.update_id: each for each in await gateway.eventually(ButtonClicked, 3)}
    assert [presses[n].cta_text for n in range(3)] == [None] * 3
    assert [presses[n].chat_id for n in range(3)] == [6, None, 6]


async def test_secrets_are_checked(gateway: Any) -> None:
    """A wrong or missing secret is 403, counted by reason, and nothing is published."""

    def counted(reason: str) -> float:
        sample = REGISTRY.get_sample_value("telegram_verification_failures_total", {"reason": reason})
        return sample or 0.0

    for given, reason in (("wrong", "secret_wrong"), (None, "secret_missing"), ("ünïcode", "secret_wrong")):
        before = counted(reason)
        headers = {"X-Telegram-Bot-Api-Secret-Token": given}
        status, problem = await gateway.hook(gateway.press(1, DATA), headers=headers)
        assert (status, problem["status"]) == (403, 403)
        assert counted(reason) == before + 1
    assert (await gateway.hook(gateway.press(2, DATA)))[0] == 200
    await gateway.logged(2)
    assert [press.update_id for press in gateway.published(ButtonClicked)] == [2]


async def test_strangers_learn_of_no_bot(gateway: Any) -> None:
    """Whoever does not know a bot's secret gets the same answer whether there is such a bot or not."""

    async def answer(bot: str, secret: str | None, body: Any) -> tuple[int, dict[str, str], bytes]:
        url = f"{gateway.url}/telegram/{bot}/webhook"
        headers = {"Content-Type": "application/json"}
        headers |= {} if secret is None else {"X-Telegram-Bot-Api-Secret-Token": secret}
        async with gateway.http.post(url, headers=headers, data=body) as response:
            told = {name: value for name, value in response.headers.items() if name != "Date"}
            return response.status, told, await response.read()

    for body in (b'{"update_id": 1}', b"{", b""):
        for secret in ("wrong", None, "ünïcode"):
            known = await answer("default", secret, body)
            assert known[0] == 403
            assert await answer("nobody", secret, body) == known
        assert (await answer("nobody", SECRET, body)) == known
    counted = REGISTRY.get_sample_value("telegram_verification_failures_total", {"reason": "bot"})
    assert counted is not None
    assert counted >= 12


async def test_other_methods(gateway: Any) -> None:
    """Only POST is taken."""
    async with gateway.http.get(f"{gateway.url}/telegram/default/webhook") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


BODIES = [
    (b"", 400),
    (b"{", 400),
    (b"nonsense", 400),
    (b"[]", 400),
    (b"5", 400),
    (b"null", 400),
    (b"{}", 400),
    (b'{"update_id": true}', 400),
    (b'{"update_id": "1"}', 400),
    (b'{"update_id": 1.0}', 400),
    (b'{"update_id": null}', 400),
    (b'{"update_id": 9223372036854775808}', 400),
    (b'{"update_id": 1e3}', 400),
    (b'{"update_id": NaN}', 400),
    (b'{"update_id": 1, "x": NaN}', 400),
    (b'{"update_id": 1, "x": "\xff"}', 400),
    (b"\xef\xbb\xbf{}", 400),
    (b'{"update_id": 1}', 200),
    (b'{"update_id": -1}', 200),
    (b'{"update_id": 9223372036854775807}', 200),
    (b'{"update_id": 1, "x": 1e999}', 200),
    (b'{"update_id": 1, "x": ' + b"9" * 5000 + b"}", 200),
    (b'{"update_id": 1, "message": "words"}', 200),
    (b'{"update_id": 1, "message": {"from": 5}}', 200),
    (b'{"update_id": 1, "x": "\\ud800 \\u0000"}', 200),
    (b'{"update_id": 1, "x": ' + b"[" * 500 + b"]" * 500 + b"}", 200),
    (b"\x00", 400),
]


async def test_bodies(gateway: Any) -> None:
    """400 is only for what is not JSON or has no integer update_id; everything else is taken."""
    for body, expected in BODIES:
        status, _ = await gateway.hook(None, data=body)
        assert status == expected, body[:100]


async def test_what_postgres_refuses_is_replaced(gateway: Any) -> None:
    """NUL and lone surrogates become U+FFFD: neither an update nor a press fails for them."""
    words = orjson.dumps(gateway.message(1, "WORDS")).replace(b"WORDS", b"a\\u0000b\\ud800c")
    assert (await gateway.hook(None, data=words))[0] == 200
    assert (await gateway.logged(1))["text"] == "a\ufffdb\ufffdc"
    named = orjson.dumps(gateway.press(2, DATA)).replace(b'"Ann"', b'"A\\udfff\\u0000"')
    assert (await gateway.hook(None, data=named))[0] == 200
    (press,) = await gateway.eventually(ButtonClicked)
    assert press.person is not None
    assert press.person.first_name == "A\ufffd\ufffd"


async def test_too_deep_an_update_is_kept_as_text(gateway: Any) -> None:
    """An update nested deeper than events may be is stored all the same, and kills no consumer."""
    deep = b'{"update_id": 1, "message": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}"
    assert (await gateway.hook(None, data=deep))[0] == 200
    assert (await gateway.logged(1))["kind"] == "message"


async def test_other_content_types(gateway: Any) -> None:
    """Telegram sends JSON; whatever says that it is something else is 415; a charset changes nothing."""
    for given in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        status, _ = await gateway.hook(None, data=b'{"update_id": 1}', headers={"Content-Type": given})
        assert status == 415, given
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    assert (await gateway.hook(None, data=b'{"update_id": 1}', headers=headers))[0] == 200


async def test_large_bodies(gateway: Any) -> None:
    """A body that the broker could not take is 413, and the gateway's connection to it survives."""
    limit = gateway.bus.max_payload - 16 * 1024
    start, end = b'{"update_id": 1, "x": "', b'"}'
    assert (await gateway.hook(None, data=start + b"a" * (limit - len(start) - len(end)) + end))[0] == 200
    assert (await gateway.hook(None, data=start + b"a" * (limit + 1 - len(start) - len(end)) + end))[0] == 413
    # Numbers that grow when they are written again.
    numbers = b'{"update_id": 2, "x": [' + b"1e9," * ((limit - 100) // 4) + b"1]}"
    assert (await gateway.hook(None, data=numbers))[0] == 413
    assert (await gateway.hook(gateway.press(3, DATA)))[0] == 200
    await gateway.logged(3)
