"""Whatever comes to the webhook, the answer is one of those that Telegram understands."""

import itertools
import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from services.gateway.domain.reading import NotJson, is_deep, read_json
from services.gateway.domain.updates import KINDS, kind_of, press_of, update_id_in, written_in
from shared import ids
from shared.events import UpdateReceived, update_id_of

DATA = f"p1.premium.{ids.to_short(ids.derived('delivery', 1))}"
_numbers = itertools.count()

KEYS = st.sampled_from([
    "update_id", "message", "callback_query", "from", "chat", "id", "data", "text", "message_id", "type",
    "reply_markup", "inline_keyboard", "callback_data", "username", "language_code", "is_bot",
])  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from([DATA, "private", "/start premium", "/help@carillon_bot", "\x00", "\ud800", "5"])
    | st.text(max_size=20)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)
UPDATES = st.fixed_dictionaries(
    {"update_id": st.integers(0, 10**9) | LEAVES},
    optional={
        "message": VALUES,
        "callback_query": st.fixed_dictionaries(
            {"id": st.just("1") | LEAVES, "data": st.just(DATA) | LEAVES},
            optional={
                "from": st.fixed_dictionaries({"id": st.integers(1, 99) | LEAVES}) | VALUES,
                "message": VALUES,
            },
        )
        | VALUES,
        "my_chat_member": VALUES,
    },
)
BODIES = (
    st.binary(max_size=200)
    | UPDATES.map(lambda update: json.dumps(update).encode())
    | VALUES.map(lambda value: json.dumps(value).encode())
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=BODIES, secret=st.sampled_from([True] * 9 + [False]), kind=st.sampled_from(["json"] * 9 + ["xml"])
)
async def test_only_answers_that_telegram_understands(
    gateway: Any, body: bytes, secret: bool, kind: str
) -> None:
    """Any body gets 200, 400, 403, 413, 415 or 503, and 200 whenever it is JSON with a whole update_id."""
    headers = {"Content-Type": f"application/{kind}"} | (
        {} if secret else {"X-Telegram-Bot-Api-Secret-Token": "x"}
    )
    status, _ = await gateway.hook(None, data=body, headers=headers)
    assert status in (200, 400, 403, 413, 415, 503)
    if secret and kind == "json":
        assert (status == 200) == is_update(body)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(update=UPDATES)
@example(update={"update_id": 1, "message": {"id": 2**70}})
async def test_whatever_is_taken_is_settled(gateway: Any, update: dict[str, Any]) -> None:
    """An update of any shape ends in the log, and not among the dead letters."""
    number = next(_numbers)
    body = json.dumps({**update, "update_id": number}).encode()
    assume(is_update(body))  # NaN and the infinities are not JSON
    assert (await gateway.hook(None, data=body))[0] == 200
    assert (await gateway.logged(number))["status"] in ("handled", "ignored")


def is_update(body: bytes) -> bool:
    """Say by Python's own reader whether a body is JSON with an update_id of 64 bits."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        value = json.loads(body.decode(), parse_constant=refuse)
    except ValueError:
        return False
    number = value.get("update_id") if isinstance(value, dict) else None
    return type(number) is int and -(2**63) <= number < 2**63


@settings(max_examples=500, deadline=None)
@given(update=UPDATES)
def test_reading_an_update_never_fails(update: dict[str, Any]) -> None:
    """Whatever an update's parts are, it is read, and what is published of it can be read again."""
    try:
        read = read_json(json.dumps(update).encode())
    except NotJson:
        return
    kind = kind_of(read)
    assert kind in (*KINDS, "other")
    written_in(read, kind)
    press = press_of(read)
    if press is not None:
        assert press.payload == "premium"
        assert press.query_id
    number = update_id_in(read)
    if number is not None:
        event = UpdateReceived.model_validate({
            "id": update_id_of(7, number), "at": "2026-01-01T00:00:00Z", "bot": "default", "bot_id": 7,
            "update_id": number, "kind": kind, "update": read,
        })  # fmt: skip
        assert UpdateReceived.model_validate_json(event.model_dump_json()).update_id == number


@given(depth=st.integers(1, 400))
def test_depth(depth: int) -> None:
    """Depth is counted in levels, not in brackets."""
    deep = b"[" * depth + b"]" * depth
    assert is_deep(json.loads(deep), deep) == (depth > 100)
    wide = b"[" + b"[]," * 500 + b"[]]"
    assert not is_deep(json.loads(wide), wide)


@pytest.mark.parametrize("digits", ["9" * 20, "1" + "0" * 29, "-9223372036854775809", "9" * 300])
def test_no_number_is_larger_than_its_readers_take(digits: str) -> None:
    """A whole number beyond 64 bits is a float, whichever reader the rest of the body needs."""
    plain = read_json(b'{"n": %b}' % digits.encode())
    tolerant = read_json(b'{"n": %b, "s": "\\ud800"}' % digits.encode())
    assert plain["n"] == tolerant["n"] == float(digits)
    assert orjson.dumps(tolerant) is not None


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400])
async def test_a_number_that_cannot_be_kept_is_refused(gateway: Any, number: str) -> None:
    """What no double holds would be kept as nothing: the API refuses it, the webhook takes what comes."""
    body = b'{"metadata": {"a": [{"b": %b}]}}' % number.encode()
    headers = {"Content-Type": "application/json"}
    path = f"/clicks/{ids.derived('click', 1)}"
    status, problem = await gateway.call("PATCH", path, data=body, headers=headers)
    assert (status, problem["detail"]) == (422, "a number in the body is too large")
    assert (await gateway.hook(None, data=b'{"update_id": 1, "x": %b}' % number.encode()))[0] == 200
