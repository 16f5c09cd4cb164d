"""Campaigns over HTTP: lists as files, and whose they are."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.gateway.domain.lists import LONGEST_LINE, CsvEntries, JsonEntries, Lines, NoHead, Unreadable
from services.gateway.domain.roles import KeyRole
from shared.queries import (
    AddCampaignRecipients,
    Audience,
    CampaignEstimate,
    CampaignPage,
    CampaignView,
    CancelCampaign,
    CreateCampaign,
    EstimateCampaign,
    GetCampaign,
    ListCampaigns,
    PauseCampaign,
    RecipientsAdded,
    ResumeCampaign,
    StartCampaign,
)

CAMPAIGN = CampaignView.model_validate(
    {
        "id": uuid4(), "status": "draft", "intended": 0, "sent": 0, "failed": 0, "suppressed": 0,
        "ambiguous": 0, "pending": 0, "created_at": "2026-03-01T12:00:00Z", "template": "letter",
        "channels": ["email"],
    }
)  # fmt: skip
PATH = f"/campaigns/{CAMPAIGN.id}"
CSV = {"Content-Type": "text/csv"}
NDJSON = {"Content-Type": "application/x-ndjson"}


def entries_of(kind: Any, data: bytes, piece: int = 1 << 20) -> list[tuple[int, Any]]:
    """Read a file that comes in pieces; entries, or why there are none, with the numbers of their lines."""
    lines, entries, found = Lines(), kind(), []
    for start in range(0, len(data), piece):
        for line in lines.feed(data[start : start + piece]):
            found += entries.read(line)
    for line in lines.end():
        found += entries.read(line)
    found += entries.end()
    return [(number, str(each) if isinstance(each, Unreadable) else each) for number, each in found]


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_csv_is_read_however_it_comes(piece: int) -> None:
    """Quotes, line breaks within them, other delimiters, a mark at the beginning and blank lines are read."""
    data = b'\xef\xbb\xbfemail;name\r\na@b.example;"Ann; ""A""\nSmith"\r\n\r\nb@b.example;Bo'
    found = entries_of(CsvEntries, data, piece)
    assert [number for number, _ in found] == [2, 5]
    assert found[0][1]["variables"] == {"name": 'Ann; "A"\nSmith'}
    assert found[1][1] == {"user_id": None, "address": {"email": "b@b.example"}, "variables": {"name": "Bo"}}


def test_a_bad_line_costs_itself_only() -> None:
    """What cannot be read is told by number, and what comes after it is kept: also after an open quote."""
    data = b'email,name\n"a@b.example,Ann\nb@b.example,Bo\n\xff\xfe,x\nc@b.example\nd@b.example,Di\n'
    found = entries_of(CsvEntries, data)
    good = [number for number, each in found if not isinstance(each, str)]
    bad = {number: each for number, each in found if isinstance(each, str)}
    assert good == [3, 6]
    assert set(bad) == {2, 4, 5}
    assert ("quote" in bad[2], "UTF-8" in bad[4], "1 cells" in bad[5]) == (True, True, True)
    long = b"x" * (LONGEST_LINE + 1)
    found = entries_of(JsonEntries, b"{}\n" + long + b"\n[]\n{\n{}", 1000)
    assert [number for number, each in found if not isinstance(each, str)] == [1, 5]
    with pytest.raises(NoHead):
        entries_of(CsvEntries, b"name,age\nAnn,7\n")


class List:
    """A list at the contract: remembers parts, and tells recipients who come twice."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.parts: dict[UUID, RecipientsAdded] = {}
        self.slow = 0

    async def add(self, command: AddCampaignRecipients) -> RecipientsAdded:
        """Take a part once; while it is told to be slow, answer too late."""
        if command.cause not in self.parts:
            twice = []
            for each in command.recipients:
                key = each.address.email or "" if each.address else str(each.user_id)
                if key in self.known:
                    twice.append(each.line)
                self.known.setdefault(key, each.line)
            added = len(command.recipients) - len(twice)
            self.parts[command.cause] = RecipientsAdded(
                added=added, duplicates=tuple(twice), intended=len(self.known)
            )
        if self.slow:
            self.slow -= 1
            await asyncio.sleep(3)
        return self.parts[command.cause]


async def upload(gateway: Any, data: Any, headers: dict[str, str]) -> tuple[int, Any]:
    """Upload a file."""
    return await gateway.call("POST", f"{PATH}/recipients", data=data, headers=headers)  # type: ignore[no-any-return]


async def test_a_file_goes_to_senders_in_parts(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad lines and repeated recipients are told by number, the rest is kept, and a part counts once."""
    monkeypatch.setattr("services.gateway.api.uploads.PART_ENTRIES", 100)
    monkeypatch.setattr("services.gateway.api.uploads.ANSWER_SECONDS", 2.0)
    made = List()
    made.slow = 1
    await gateway.peers.answer(GetCampaign, lambda _: CAMPAIGN)
    await gateway.peers.answer(AddCampaignRecipients, made.add)
    lines = [f"{number}@b.example,Ann" for number in range(250)]
    lines[10:10] = ["nobody,Bo", "7@b.example,Again", "x@b.example,Too,many"]
    status, done = await upload(gateway, "\n".join(["email,name", *lines]), CSV)
    assert (status, done["added"], done["recipients"]) == (200, 250, 250)
    assert done["duplicate_lines"] == [13]
    assert [each["line"] for each in done["bad_lines"]] == [12, 14]
    assert "e-mail" in done["bad_lines"][0]["message"]
    assert len(made.parts) == 3
    assert len(gateway.peers.of(AddCampaignRecipients)) == 4
    again = '{"address": {"email": "0@b.example"}, "variables": {"name": "x"}}\n{"user_id": 1}\n'
    status, done = await upload(gateway, again, NDJSON)
    assert (done["added"], done["duplicates"], done["bad"]) == (0, 1, 1)
    missing = await upload(gateway, '{"address": {"email": "z@b.example"}}', NDJSON)
    assert missing[1]["bad_lines"] == [{"line": 1, "message": "variables: missing: name"}]
    assert (await upload(gateway, "x,y\n1,2", CSV))[0] == 422
    assert (await upload(gateway, "{}", {"Content-Type": "application/json"}))[0] == 415


async def test_the_same_upload_is_the_same_parts(gateway: Any) -> None:
    """Under one Idempotency-Key the same lines are the same parts to senders, and other lines are others."""
    made = List()
    await gateway.peers.answer(GetCampaign, lambda _: CAMPAIGN)
    await gateway.peers.answer(AddCampaignRecipients, made.add)
    headers = CSV | {"Idempotency-Key": "list-1"}
    first = await upload(gateway, "email,name\na@b.example,Ann", headers)
    assert await upload(gateway, "email,name\na@b.example,Ann", headers) == first
    assert len(made.parts) == 1
    await upload(gateway, "email,name\nb@b.example,Ann", headers)
    assert len(made.parts) == 2


async def test_changes_say_for_whom(gateway: Any) -> None:
    """A service's key changes its own campaigns only, an admin's everybody's: senders is told which."""
    for command in (StartCampaign, PauseCampaign, ResumeCampaign, CancelCampaign):
        await gateway.peers.answer(command, lambda _: CAMPAIGN)
        word = command.name.removesuffix("_campaign")
        for role in (KeyRole.SERVICE, KeyRole.ADMIN):
            status, _ = await gateway.call("POST", f"{PATH}/{word}", role=role)
            assert status == (202 if word == "start" else 200)
        service, admin = gateway.peers.of(command)
        assert (service.campaign_id, admin.by) == (CAMPAIGN.id, None)
        assert service.by is not None
    await gateway.peers.answer(CreateCampaign, lambda _: CAMPAIGN)
    body = {"draft": True, "channels": ["email"], "body": {"text": "x"}, "scheduled_at": None}
    assert (await gateway.call("POST", "/campaigns", json=body))[0] == 202
    (made,) = gateway.peers.of(CreateCampaign)
    assert (made.draft, made.owner, made.recipients) == (True, service.by, ())
    status, _ = await gateway.call("POST", f"{PATH}/start", json={"scheduled_at": "2199-01-01T00:00:00Z"})
    assert status == 422


async def test_estimates_and_lists(gateway: Any) -> None:
    """An audience is estimated before there is a campaign, and campaigns are listed by status."""
    estimate = CampaignEstimate(recipients=10, channels={}, unreachable=1, seconds=0.5)
    await gateway.peers.answer(EstimateCampaign, lambda _: estimate)
    await gateway.peers.answer(ListCampaigns, lambda _: CampaignPage(items=(CAMPAIGN,)))
    asked = {"audience": {"roles": ["subscriber"], "language": "en"}, "channels": ["telegram"]}
    status, found = await gateway.call("POST", "/campaigns/estimate", json=asked)
    assert (status, found["recipients"]) == (200, 10)
    assert gateway.peers.of(EstimateCampaign)[0].audience == Audience(roles=("subscriber",), language="en")
    assert (await gateway.call("GET", f"{PATH}/estimate"))[0] == 200
    status, page = await gateway.call("GET", "/campaigns?status=draft&limit=5")
    assert [each["id"] for each in page["items"]] == [str(CAMPAIGN.id)]
    assert (await gateway.call("GET", "/campaigns?status=gone"))[0] == 422
