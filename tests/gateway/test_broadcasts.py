"""Broadcasts: written, tried, sent as campaigns of senders, and cancelled, whatever is away meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.gateway.domain.broadcasts import instant_of
from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.bus import Refusal
from shared.events import CampaignChanged, Channel, MessageRequested
from shared.queries import (
    Audience,
    CampaignEstimate,
    CampaignView,
    CancelCampaign,
    CreateCampaign,
    EstimateCampaign,
    GetCampaign,
)

TEXT = {"text": r"*News* for you\.", "cta": {"text": "Read", "url": "https://example.com/news"}}


class Senders:
    """Campaigns as senders keeps them, at the contract."""

    def __init__(self, gateway: Any) -> None:
        self.gateway = gateway
        self.campaigns: dict[UUID, str] = {}
        self.refusal: Refusal | None = None

    async def answer(self) -> None:
        """Answer what the gateway asks about campaigns."""
        peers = self.gateway.peers
        await peers.answer(CreateCampaign, self.create)
        await peers.answer(CancelCampaign, self.cancel)
        await peers.answer(GetCampaign, lambda query: self.view(query.campaign_id))
        estimate = CampaignEstimate(recipients=3, channels={Channel.TELEGRAM: 2}, unreachable=1, seconds=0.1)
        await peers.answer(EstimateCampaign, lambda _: estimate)

    def create(self, command: CreateCampaign) -> CampaignView:
        """Make a campaign, or refuse it."""
        if self.refusal:
            raise self.refusal
        self.campaigns.setdefault(command.campaign_id, "scheduled" if command.scheduled_at else "running")
        return self.view(command.campaign_id)

    def cancel(self, command: CancelCampaign) -> CampaignView:
        """End a campaign."""
        if command.campaign_id not in self.campaigns:
            raise Refusal(404, "Unknown campaign", "there is no such campaign")
        self.campaigns[command.campaign_id] = "cancelled"
        return self.view(command.campaign_id)

    def view(self, campaign_id: UUID) -> CampaignView:
        """Show a campaign that has sent one of three."""
        return CampaignView(
            id=campaign_id, status=self.campaigns[campaign_id], intended=3, sent=1, failed=0, suppressed=0,
            ambiguous=0, pending=2, created_at=datetime.now(UTC),
        )  # fmt: skip

    async def tell(self, campaign_id: UUID, version: int, status: str, **sums: int) -> None:
        """Publish what became of a campaign."""
        said = {
            "id": ids.derived("campaign.changed", campaign_id, version), "at": datetime.now(UTC),
            "campaign_id": campaign_id, "version": version, "status": status, "intended": 3,
            "checksum": "0" * 64, **sums,
        }  # fmt: skip
        await self.gateway.bus.publish(CampaignChanged.model_validate(said))


async def admin(gateway: Any, method: str, path: str, **more: Any) -> tuple[int, Any]:
    """Call as an admin."""
    found: tuple[int, Any] = await gateway.call(method, f"/broadcasts{path}", role=KeyRole.ADMIN, **more)
    return found


async def until(gateway: Any, broadcast_id: str, status: str) -> Any:
    """Wait until a broadcast is in a status; return it."""
    async with asyncio.timeout(60):
        while (found := (await admin(gateway, "GET", f"/{broadcast_id}"))[1])["status"] != status:
            await asyncio.sleep(0.05)
    return found


async def test_a_broadcast_is_written_tried_and_sent(gateway: Any) -> None:
    """A draft can be changed and seen; sent, it is a campaign of its id, and its sums are the campaign's."""
    senders = Senders(gateway)
    await senders.answer()
    status, problem = await admin(gateway, "POST", "", json={"text": "*broken"})
    assert (status, problem["errors"][0]["field"]) == (422, "text")
    assert "can't find end of" in problem["errors"][0]["message"].lower()
    key = {"Idempotency-Key": "one"}
    status, made = await admin(gateway, "POST", "", json=TEXT, headers=key)
    assert (status, made["status"], made["recipients"]) == (201, "draft", None)
    assert (await admin(gateway, "POST", "", json=TEXT, headers=key))[1] == made
    assert (await admin(gateway, "POST", "", json={"text": "x"}, headers=key))[0] == 422
    one = made["id"]
    status, changed = await admin(gateway, "PUT", f"/{one}", json={**TEXT, "audience": "subscribers"})
    assert (status, changed["audience"]) == (200, "subscribers")

    status, shown = await admin(gateway, "GET", f"/{one}/preview")
    bold = {"type": "bold", "offset": 0, "length": 4}
    assert (shown["text"], shown["entities"]) == ("News for you.", [bold])
    assert shown["buttons"][0][0]["url"] == "https://example.com/news"
    assert (await admin(gateway, "GET", f"/{one}/audience"))[1]["recipients"] == 3
    (asked,) = gateway.peers.of(EstimateCampaign)
    assert asked.audience == Audience(roles=("subscriber", "admin", "owner"))
    user = str(ids.derived("me"))
    status, accepted = await admin(gateway, "POST", f"/{one}/test", json={"user_id": user})
    assert status == 202
    (tried,) = await gateway.eventually(MessageRequested)
    assert (str(tried.id), str(tried.user_id)) == (accepted["id"], user)
    assert tried.body.buttons[0][0].text == "Read"

    assert (await admin(gateway, "POST", f"/{one}/send", json={}))[0] == 202
    assert (await admin(gateway, "POST", f"/{one}/send", json={}))[0] == 202, "twice is once"
    assert (await admin(gateway, "PUT", f"/{one}", json=TEXT))[0] == 409
    async with asyncio.timeout(60):
        while UUID(one) not in senders.campaigns:
            await asyncio.sleep(0.05)
    command = gateway.peers.of(CreateCampaign)[0]
    assert (command.channels, command.scheduled_at) == ((Channel.TELEGRAM,), None)
    await senders.tell(UUID(one), 2, "running")
    async with asyncio.timeout(60):
        while (sending := (await admin(gateway, "GET", f"/{one}"))[1])["recipients"] is None:
            await asyncio.sleep(0.05)
    assert (sending["status"], sending["sent"]) == ("sending", 1)
    await senders.tell(UUID(one), 3, "done", sent=1, failed=2)
    await senders.tell(UUID(one), 1, "scheduled")
    sent = await until(gateway, one, "sent")
    assert (sent["recipients"], sent["sent"], sent["failed"]) == (3, 1, 2)
    assert (await admin(gateway, "POST", f"/{one}/cancel"))[0] == 409
    status, page = await admin(gateway, "GET", "?status=sent")
    assert [each["id"] for each in page["items"]] == [one]


async def test_senders_is_away(gateway: Any) -> None:
    """What is sent or cancelled while senders is away is so when it is back; an empty audience fails it."""
    made = [(await admin(gateway, "POST", "", json={"text": f"Number {n}"}))[1]["id"] for n in range(4)]
    wanted, unwanted, nobody, draft = made
    assert (await admin(gateway, "POST", f"/{draft}/cancel"))[1]["status"] == "cancelled"
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for each in (wanted, unwanted):
        status, sent = await admin(gateway, "POST", f"/{each}/send", json={"scheduled_at": at})
        assert (status, sent["status"]) == (202, "scheduled")
    assert (await admin(gateway, "POST", f"/{unwanted}/cancel"))[1]["status"] == "cancelled"
    senders = Senders(gateway)
    await senders.answer()
    async with asyncio.timeout(60):
        while UUID(wanted) not in senders.campaigns:
            await asyncio.sleep(0.05)
    assert set(senders.campaigns) == {UUID(wanted)}
    assert (await admin(gateway, "POST", f"/{wanted}/cancel"))[0] == 202
    async with asyncio.timeout(60):
        while senders.campaigns[UUID(wanted)] != "cancelled":
            await asyncio.sleep(0.05)
    senders.refusal = Refusal(422, "Nobody to send to", "nobody belongs to its audience")
    await admin(gateway, "POST", f"/{nobody}/send", json={})
    assert (await until(gateway, nobody, "failed"))["reason"] == "empty"
    cursor: str | None = ""
    seen: list[str] = []
    while cursor is not None:
        _, page = await admin(gateway, "GET", f"?limit=2{cursor and '&cursor=' + cursor}")
        seen += [each["id"] for each in page["items"]]
        cursor = page["cursor"]
    assert seen == made[::-1]


WRONG_TIMES = [
    ({"local_time": "2026-03-29T02:30"}, "time_zone"),
    ({"scheduled_at": "2020-01-01T00:00:00Z"}, "scheduled_at"),
    ({"local_time": "2020-01-01T09:00", "time_zone": "Europe/Madrid"}, "local_time"),
    ({"local_time": "tomorrow", "time_zone": "Europe/Madrid"}, "local_time"),
    ({"local_time": "2030-01-01T09:00", "time_zone": "Mars/Olympus"}, "time_zone"),
    ({"scheduled_at": "2030-01-01T00:00:00Z", "local_time": "2030-01-01T00:00"}, "scheduled_at"),
]


async def test_times(gateway: Any) -> None:
    """A time that has passed, is too far, does not exist or is said twice is refused by name."""
    one = (await admin(gateway, "POST", "", json={"text": "Hi"}))[1]["id"]
    for wrong, named in WRONG_TIMES:
        status, problem = await admin(gateway, "POST", f"/{one}/send", json=wrong)
        assert status == 422, wrong
        assert named in problem["detail"], wrong
    today = datetime.now(ZoneInfo("Asia/Kolkata")).replace(tzinfo=None, second=0, microsecond=0)
    local = (today + timedelta(days=1)).isoformat()
    body = {"local_time": local, "time_zone": "Asia/Kolkata"}
    status, sent = await admin(gateway, "POST", f"/{one}/send", json=body)
    assert (status, sent["time_zone"]) == (202, "Asia/Kolkata")
    at = datetime.fromisoformat(sent["scheduled_at"]).astimezone(ZoneInfo("Asia/Kolkata"))
    assert at.replace(tzinfo=None).isoformat() == local


def test_clocks_that_are_put_forward_and_back() -> None:
    """A time that a clock shows twice is the first of the two; one that it never shows is refused."""
    madrid = ZoneInfo("Europe/Madrid")
    assert instant_of(datetime.fromisoformat("2026-10-25T02:30"), madrid) == datetime(
        2026, 10, 25, 0, 30, tzinfo=UTC
    )
    with pytest.raises(ValueError, match="no such time"):
        instant_of(datetime.fromisoformat("2026-03-29T02:30"), madrid)
