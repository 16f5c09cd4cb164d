"""Times at the ends of the calendar: PostgreSQL keeps some as infinite, and no time zone has all of them."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.gateway.api.route import PLACEHOLDER
from services.gateway.api.routes import ROUTES
from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.events import MessageRequested

ENDS = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")
LETTER = {"address": {"email": "a@b.c"}, "channel": "email", "body": {"text": "x"}}
CAMPAIGN = {"channel": "email", "body": {"text": "x"}, "draft": True}


async def test_times_that_no_time_zone_has_are_refused(gateway: Any) -> None:
    """Whatever asks for a span of time refuses the ends of the calendar by name, before it asks anybody."""
    spans = [(each.path, name) for each in ROUTES if each.query is not None
             for name in ("since", "until") if name in each.query.model_fields]  # fmt: skip
    assert len(spans) > 12
    for path, name in spans:
        url = PLACEHOLDER.sub("default", path)
        for at in ENDS:
            async with gateway.http.get(
                f"{gateway.url}/api/v1{url}", params={name: at},
                headers={"Authorization": f"Bearer {gateway.keys[KeyRole.OWNER]}"},
            ) as response:  # fmt: skip
                problem = await response.json()
                assert (response.status, path, at) == (422, path, at), problem
                assert name in [error["field"] for error in problem["errors"]]


@pytest.mark.parametrize("at", ENDS)
async def test_nothing_is_accepted_for_such_a_time(gateway: Any, at: str) -> None:
    """What senders would keep as infinite, or not at all, is refused at the door, and where it is read."""
    some_id = ids.derived("anything")
    for path, body, name in (
        ("/messages", LETTER, "not_before"),
        ("/messages", LETTER, "expires_at"),
        ("/campaigns", CAMPAIGN, "scheduled_at"),
        ("/campaigns", CAMPAIGN, "expires_at"),
        (f"/campaigns/{some_id}/start", {}, "scheduled_at"),
        (f"/broadcasts/{some_id}/send", {}, "scheduled_at"),
        ("/schedules/default/pause", {}, "until"),
    ):
        status, problem = await gateway.call("POST", path, role=KeyRole.OWNER, json=body | {name: at})
        assert (status, path, name) == (422, path, name), problem
        assert [error["field"] for error in problem["errors"]] == [name]
    message = {"id": some_id, "at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"} | LETTER
    for name in ("at", "not_before", "expires_at"):
        with pytest.raises(ValidationError):
            MessageRequested.model_validate(message | {name: at})
