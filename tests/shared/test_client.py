"""The client for other services: what it refuses, what it publishes, and the example of its page."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from devstack.nats import Nats
from shared import ids, topology
from shared.bus import Bus, Receipt, Refusal, answering, on
from shared.client import Carillon, Invalid
from shared.events import Body, Channel, MessageRequested, State
from shared.queries import GetMessage, ListTemplates, MessageView, TemplateList, TemplateView
from tests.gateway.conftest import NoAttempts

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
REQUIRED = ("instrument", "side", "entry_price", "current_price", "profit_amount", "broker_ticket")


async def a_message(carillon: Carillon, **fields: Any) -> UUID:
    """Send a message and return its id."""
    return (await carillon.send(**{"email": "a@b.example", "channels": ["email"], **fields})).id


async def test_what_is_wrong_is_said_before_it_is_published(prepared_nats: Nats) -> None:
    """Unknown templates and channels, missing variables, refused texts and giants are named."""
    published: dict[UUID, MessageRequested] = {}

    async def keep(event: MessageRequested, _: Receipt) -> None:
        published[event.id] = event

    async def describe(_: ListTemplates) -> TemplateList:
        items = (TemplateView(name="letter", required={Channel.EMAIL: ("name", "day")}),)
        return TemplateList(items=items, senders=("news@b.example",))

    wrong: list[tuple[dict[str, Any], str]] = [
        ({"template": "lettre"}, "unknown template"),
        ({"template": "letter", "variables": {"name": "Ann"}}, "missing: day"),
        ({"template": "letter", "channels": ["fax"]}, "channels.0"),
        ({"template": "letter", "channels": ["push"]}, "has nothing for push"),
        ({"template": "letter", "body": Body(text="x")}, "exactly one of template and body"),
        ({"email": None, "body": Body(text="x")}, "user_id or address"),
        ({"body": Body(text="*", format="markdown_v2"), "channels": ["telegram"]}, "body"),
        ({"template": "letter", "variables": {"name": "x" * 2**20, "day": 1}}, "too large"),
        ({"body": Body(text="x"), "lane": "promo"}, "promo"),
        ({"body": Body(text="x"), "sender": "ceo@b.example"}, "unknown sender; there are: news@b.example"),
    ]
    async with (
        Bus.open(prepared_nats.url, service="senders") as senders,
        Carillon.open(prepared_nats.url) as carillon,
    ):
        unchecked = await a_message(carillon, template="nobody_knows")
        async with senders.answer(answering(ListTemplates, describe)):
            for fields, words in wrong:
                with pytest.raises(Invalid, match=re.escape(words)):
                    await a_message(carillon, **fields)
            fields = {"template": "letter", "variables": {"name": "Ann", "day": 1}}
            sent = {await a_message(carillon, **fields, key="order-1") for _ in range(3)}
            other = await a_message(carillon, **fields, sender="News@b.example")
        name = topology.durable("senders_transactional_email").name
        async with senders.consume(name, on(MessageRequested, keep), attempts=NoAttempts()):
            async with asyncio.timeout(60):
                while len(published) < 3:
                    await asyncio.sleep(0.02)
    assert sent == {ids.derived("client message", "order-1")}
    assert set(published) == {unchecked, other} | sent
    event = published[other]
    assert event.sender == "News@b.example"
    assert (event.expires_at - event.at).total_seconds() == 24 * 3600


async def test_the_example_of_the_page_runs(prepared_nats: Nats) -> None:
    """The program in docs/client.md does what the page says, against what senders answers."""
    looked = 0

    async def describe(_: ListTemplates) -> TemplateList:
        return TemplateList(
            items=(TemplateView(name="position_failure_tp", required={Channel.EMAIL: REQUIRED}),)
        )

    async def find(query: GetMessage) -> MessageView:
        nonlocal looked
        looked += 1
        if looked == 1:
            raise Refusal(404, "Unknown message")
        return MessageView.model_validate(
            {
                "id": query.message_id, "lane": "transactional", "created_at": "2026-03-01T12:00:00Z",
                "state": State.PENDING if looked == 2 else State.SENT, "deliveries": (), "history": (),
                "expires_at": "2026-03-02T12:00:00Z",
            }
        )  # fmt: skip

    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    async with (
        Bus.open(prepared_nats.url, service="senders") as senders,
        senders.answer(answering(ListTemplates, describe), answering(GetMessage, find)),
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=PAGE.parents[1],
            env={**os.environ, "NATS_URL": prepared_nats.url},
        )  # fmt: skip
        told, _ = await asyncio.wait_for(process.communicate(), 120)
    lines = told.decode().splitlines()
    assert process.returncode == 0
    assert lines[-2:] == [
        f"{ids.derived('client message', 'ticket-55120934')} sent None",
        "variables: missing: instrument, entry_price, current_price, profit_amount, broker_ticket",
    ]
