"""The HTTP interface of the Bot API server: paths, tokens, argument encodings, answers."""

import io
import json
from typing import Any

import aiohttp
import pytest


def _url(street: Any, method: str, token: str | None = None) -> str:
    return f"{street.telegram.api_url}/bot{token or street.token}/{method}"


async def test_empty_post_without_content_type_is_a_call(street: Any) -> None:
    """python-telegram-bot sends getMe without body and Content-Type; it is a call like any other."""
    async with street.http.post(_url(street, "getMe"), skip_auto_headers=["Content-Type"]) as response:
        me = (await response.json())["result"]
    assert (me["id"], me["is_bot"], me["username"]) == (123456, True, "carillon_bot")


@pytest.mark.parametrize("method", ["GETME", "getme", "test/getMe", "getMe/"])
async def test_method_name_is_found_in_any_case(street: Any, method: str) -> None:
    """Method names are case-insensitive, and the test environment's path is the same here."""
    async with street.http.get(_url(street, method)) as response:
        assert (await response.json())["ok"]


@pytest.mark.parametrize(
    ("token", "code", "description"),
    [
        ("nonsense", 401, "Unauthorized: invalid token specified"),
        ("123456:", 401, "Unauthorized: invalid token specified"),
        ("123456:wrong", 401, "Unauthorized"),
        ("999:ABC", 401, "Unauthorized"),
    ],
)
async def test_wrong_token_is_unauthorized(street: Any, token: str, code: int, description: str) -> None:
    """A malformed token and an unknown one are told apart as the open-source server does."""
    async with street.http.get(_url(street, "getMe", token)) as response:
        told = await response.json()
    assert (response.status, told["error_code"], told["description"]) == (code, code, description)


async def test_wrong_paths_methods_and_verbs_are_told_apart(street: Any) -> None:
    """A path without /bot, an unknown method and another verb each have their own answer."""
    base = street.telegram.api_url
    async with street.http.get(f"{base}/elsewhere") as response:
        assert (response.status, (await response.json())["description"]) == (404, "Not Found")
    async with street.http.get(_url(street, "noSuchMethod")) as response:
        told = await response.json()
        assert (response.status, told["description"]) == (404, "Not Found: method not found")
    async with street.http.put(_url(street, "getMe")) as response:
        assert response.status == 501


async def test_all_encodings_carry_the_same_arguments(street: Any) -> None:
    """Query string, form, multipart, JSON and JSON inside a form mean the same."""
    markup = {"inline_keyboard": [[{"text": "a", "callback_data": "b"}]]}
    flat = {"chat_id": "42", "text": "Привет \r\n &=+", "reply_markup": json.dumps(markup)}
    multipart = aiohttp.FormData(flat, default_to_multipart=True)
    bodies: list[dict[str, Any]] = [
        {"params": flat},
        {"data": flat},
        {"data": multipart},
        {"json": {**flat, "chat_id": 42, "reply_markup": markup}},
        {"json": flat},
    ]
    await street.control("POST", "/flood", enabled=False)
    seen = []
    for body in bodies:
        async with street.http.post(_url(street, "sendMessage"), **body) as response:
            sent = (await response.json())["result"]
            seen.append((sent["text"], sent["reply_markup"]))
    assert seen == [("Привет \n &=+", markup)] * len(bodies)


async def test_query_string_wins_and_first_duplicate_counts(street: Any) -> None:
    """Of several arguments of one name the first counts, the query string before the body."""
    body = "text=body&text=later&chat_id=1"
    async with street.http.post(
        _url(street, "sendMessage") + "?chat_id=42", data=body, headers={"Content-Type": FORM}
    ) as response:
        assert (await response.json())["result"]["text"] == "body"


FORM = "application/x-www-form-urlencoded"


async def test_json_null_is_a_text_not_an_absence(street: Any) -> None:
    """A null in a JSON body is the text null, as the server keeps every other value as raw text."""
    told = await street.refusal("sendMessage", chat_id=42, text="x", parse_mode=None)
    assert told == (400, "Bad Request: unsupported parse_mode")
    told = await street.refusal("sendMessage", chat_id=42, text="x", reply_markup=None)
    assert told == (400, "Bad Request: object expected as reply markup")


async def test_malformed_json_keeps_what_was_read(street: Any) -> None:
    """Malformed JSON is no error by itself: the arguments before the fault are used."""
    for body, description in [
        ('{"chat_id": 42, "text": "so far", oops', None),
        ('{"chat_id": 42, "text": oops}', "Bad Request: message text is empty"),
        ("[1]", "Bad Request: message text is empty"),
        ('{"text": "\\ud800", "chat_id": 42}', "Bad Request: message text is empty"),
    ]:
        headers = {"Content-Type": "application/json"}
        async with street.http.post(_url(street, "sendMessage"), data=body, headers=headers) as response:
            assert (await response.json()).get("description") == description


async def test_text_that_is_not_utf8_is_refused(street: Any) -> None:
    """Bytes that are not UTF-8 are refused rather than stored in some guess."""
    headers = {"Content-Type": FORM}
    for body in (b"chat_id=42&text=%ff", b"chat_id=42&text=\xff"):
        async with street.http.post(_url(street, "sendMessage"), data=body, headers=headers) as response:
            told = await response.json()
        assert told["description"] == "Bad Request: strings must be encoded in UTF-8"


async def test_other_bodies_are_ignored(street: Any) -> None:
    """A body of an unknown type carries no arguments."""
    async with street.http.post(
        _url(street, "sendMessage"), data=b"chat_id=42&text=x", headers={"Content-Type": "text/plain"}
    ) as response:
        assert (await response.json())["description"] == "Bad Request: message text is empty"


async def test_over_a_mebibyte_is_refused(street: Any) -> None:
    """Request parameters are limited to 1 MiB."""
    async with street.http.post(_url(street, "sendMessage"), data=io.BytesIO(b"x" * 1_100_000)) as response:
        assert response.status == 413


async def test_answers_are_ascii_json_on_a_connection_that_stays(street: Any) -> None:
    r"""Answers are compact ASCII JSON (\u escapes, surrogate pairs) without charset, kept alive."""
    async with street.http.get(
        _url(street, "sendMessage"), params={"chat_id": 42, "text": "🚀é"}
    ) as response:
        raw = await response.read()
        kept = response.headers.get("Connection", "").lower() != "close"
    assert response.headers["Content-Type"] == "application/json"
    assert b"\\ud83d\\ude80\\u00e9" in raw
    assert b": " not in raw
    assert kept


async def test_the_token_is_in_no_record(street: Any) -> None:
    """A bot's token is its password: the control API shows it nowhere."""
    await street.result("getMe")
    for path in ("/bots", "/calls", "/sent", "/counters", "/chats", "/"):
        shown = json.dumps(await street.control("GET", path))
        assert "ABC-def" not in shown
