"""Reads of the API, recipients, campaigns and schedules: what is asked of whom, and what is refused."""

from typing import Any
from uuid import UUID

from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.bus import Refusal
from shared.events import Channel
from shared.queries import (
    AddPushSubscription,
    AnnotateClick,
    CampaignView,
    ClickPage,
    ClicksSeries,
    ClickView,
    CountClicks,
    CreateCampaign,
    GetCampaign,
    GetClicksSeries,
    ListClicks,
    ListPostClicks,
    ListPromoLog,
    ListPromos,
    ListSchedules,
    PostClicksPage,
    PromoClicksList,
    PromoList,
    PromoLogPage,
    PutRecipient,
    RecipientView,
    ScheduleChanged,
    ScheduleList,
    ScheduleView,
    StartSchedule,
    StopSchedule,
)
from tests.gateway.conftest import BROWSER_KEYS

USER = str(ids.derived("user", 1))
SCHEDULE = ScheduleView.model_validate(
    {
        "id": USER, "active": True, "bot": "default", "interval_seconds": 14_400, "time_zone": "UTC",
        "chat_ids": [-1001234567890123], "promo_ids": [],
    }
)  # fmt: skip
CAMPAIGN = CampaignView.model_validate(
    {
        "id": USER, "status": "running", "intended": 2, "sent": 0, "failed": 0, "suppressed": 0,
        "ambiguous": 0, "pending": 2, "created_at": "2026-01-01T00:00:00Z",
    }
)  # fmt: skip
LETTER = {
    "template": "letter",
    "channels": ["email"],
    "variables": {"name": "friend"},
    "recipients": [{"user_id": USER}, {"address": {"email": "a@b.c"}, "variables": {"name": "Ann"}}],
}


async def test_clicks(gateway: Any) -> None:
    """What is asked for is passed on, and the answer comes back as it is."""
    await gateway.peers.answer(ListClicks, lambda _: ClickPage(items=(), cursor="next"))
    await gateway.peers.answer(CountClicks, lambda _: PromoClicksList(items=()))
    path = f"/clicks?user_id={USER}&promo_id=premium_signals&cursor=abc&limit=7"
    assert await gateway.call("GET", path) == (200, {"items": [], "cursor": "next"})
    (asked,) = gateway.peers.of(ListClicks)
    assert (asked.user_id, asked.promo_id, asked.cursor, asked.limit) == (
        UUID(USER), "premium_signals", "abc", 7,
    )  # fmt: skip
    assert await gateway.call("GET", "/clicks/stats?promo_id=x") == (200, {"items": []})
    assert gateway.peers.of(CountClicks)[0].promo_id == "x"


async def test_clicks_of_a_linked_user(gateway: Any) -> None:
    """Whichever id is asked for, both are; where senders is away there is no half of a list."""
    person = ids.user_of_telegram(5)
    await gateway.peers.answer(ListClicks, lambda _: ClickPage(items=()))
    view = RecipientView(user_id=UUID(USER), version=1, telegram_id=5)
    gateway.peers.recipients |= {UUID(USER): view, person: view}
    for asked_for, other in ((UUID(USER), person), (person, UUID(USER))):
        assert (await gateway.call("GET", f"/clicks?user_id={asked_for}"))[0] == 200
        asked = gateway.peers.of(ListClicks)[-1]
        assert (asked.user_id, asked.also) == (asked_for, (other,))
    await gateway.peers.stack.aclose()
    await gateway.peers.answer(ListClicks, lambda _: ClickPage(items=()))
    assert (await gateway.call("GET", f"/clicks?user_id={USER}"))[0] == 503
    assert (await gateway.call("GET", "/clicks"))[0] == 200


async def test_clicks_over_time_and_by_post(gateway: Any) -> None:
    """A series and the presses of posts are asked for by span and zone, senseless ones refused by name."""
    await gateway.peers.answer(GetClicksSeries, lambda _: ClicksSeries(items=()))
    await gateway.peers.answer(ListPostClicks, lambda _: PostClicksPage(items=()))
    span = "since=2026-03-01T00:00:00Z&until=2026-03-02T00:00:00Z"
    path = f"/clicks/series?promo_id=vip&{span}&by=hour&time_zone=Europe/Madrid"
    assert await gateway.call("GET", path) == (200, {"items": []})
    (asked,) = gateway.peers.of(GetClicksSeries)
    assert (asked.promo_id, asked.by, asked.time_zone) == ("vip", "hour", "Europe/Madrid")
    for query, field in (("by=hour", "since"), (f"{span}&by=week", "by")):
        status, problem = await gateway.call("GET", f"/clicks/series?{query}")
        assert (status, problem["errors"][0]["field"]) == (422, field)
    assert (await gateway.call("GET", f"/clicks/posts?schedule_id={USER}&{span}"))[0] == 200
    assert gateway.peers.of(ListPostClicks)[0].schedule_id == UUID(USER)


async def test_a_click_is_annotated(gateway: Any) -> None:
    """What became known of a press goes to clicks, which refuses a press that it does not know."""
    click = {
        "id": USER, "user_id": None, "promo_id": "vip", "cta_text": None, "chat_id": None, "message_id": None,
        "source": "button", "metadata": {"conversion": "completed"}, "clicked_at": "2026-03-01T00:00:00Z",
    }  # fmt: skip

    def annotate(asked: AnnotateClick) -> ClickView:
        if asked.click_id != UUID(USER):
            raise Refusal(404, "Unknown click", "there is no such click")
        return ClickView.model_validate(click)

    await gateway.peers.answer(AnnotateClick, annotate)
    body = {"metadata": {"conversion": "completed"}}
    for _ in range(2):
        status, answered = await gateway.call(
            "PATCH", f"/clicks/{USER}", json=body, headers={"Idempotency-Key": "order-1"}
        )
        assert (status, answered) == (200, click)
    first, second = gateway.peers.of(AnnotateClick)
    assert (first.metadata, first.cause) == (body["metadata"], second.cause)
    unknown = ids.derived("click", "unknown")
    status, problem = await gateway.call("PATCH", f"/clicks/{unknown}", json=body)
    assert (status, problem["title"]) == (404, "Unknown click")
    assert (await gateway.call("PATCH", "/clicks/5", json=body))[0] == 404
    many, long = {str(n): n for n in range(51)}, {"a": "x" * 16_384}
    for wrong in ({}, {"metadata": {}}, {"metadata": []}, {"metadata": many}, {"metadata": long}):
        assert (await gateway.call("PATCH", f"/clicks/{USER}", json=wrong))[0] == 422


WRONG_PARAMETERS = [
    ("limit=0", "limit"),
    ("limit=501", "limit"),
    ("limit=x", "limit"),
    ("user_id=5", "user_id"),
    ("colour=red", "colour"),
    ("limit=1&limit=2", "limit"),
]


async def test_wrong_parameters(gateway: Any) -> None:
    """A parameter that is wrong, unknown or given twice is refused by name."""
    for query, field in WRONG_PARAMETERS:
        status, problem = await gateway.call("GET", f"/clicks?{query}")
        assert (status, [each["field"] for each in problem["errors"]]) == (422, [field])


async def test_a_nul_in_a_parameter_is_no_error(gateway: Any) -> None:
    """NUL becomes U+FFFD at the edge: PostgreSQL refuses it."""
    await gateway.peers.answer(ListClicks, lambda _: ClickPage(items=()))
    status, _ = await gateway.call("GET", "/clicks?promo_id=a%00b")
    assert status in (200, 422)
    assert all("\x00" not in (asked.promo_id or "") for asked in gateway.peers.of(ListClicks))


async def test_a_body_that_is_not_as_encoded_as_it_says_is_a_bad_request(gateway: Any) -> None:
    """A wrong Content-Encoding is the caller's mistake, at the webhook and at the API."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    status, _ = await gateway.call("POST", "/messages", data=b"not gzip at all", headers=headers)
    assert status == 400


async def test_promo_log(gateway: Any) -> None:
    """The log is asked for by promo and time; a refusal of scheduler's comes back as it is."""

    def answer(query: ListPromoLog) -> PromoLogPage:
        if query.cursor:
            raise Refusal(422, "Invalid cursor", "a cursor is what the page before gave", {"hint": "none"})
        return PromoLogPage(items=())

    await gateway.peers.answer(ListPromoLog, answer)
    path = "/promo-log?promo_id=vip&since=2026-01-01T00:00:00Z&until=2026-02-01T00:00:00%2B01:00&limit=5"
    assert await gateway.call("GET", path) == (200, {"items": [], "cursor": None})
    (asked,) = gateway.peers.of(ListPromoLog)
    assert asked.since is not None
    assert (asked.promo_id, asked.since.year, asked.limit) == ("vip", 2026, 5)
    status, problem = await gateway.call("GET", "/promo-log?cursor=x")
    assert (status, problem["title"], problem["hint"]) == (422, "Invalid cursor", "none")
    assert (await gateway.call("GET", "/promo-log?since=yesterday"))[0] == 422


async def test_status(gateway: Any) -> None:
    """Status shows schedules, promos and readiness at one look."""
    await gateway.peers.answer(ListSchedules, lambda _: ScheduleList(items=(SCHEDULE,)))
    await gateway.peers.answer(ListPromos, lambda _: PromoList(items=()))
    status, document = await gateway.call("GET", "/status")
    assert (status, document["promos"]) == (200, [])
    assert document["schedules"][0]["chat_ids"] == [-1001234567890123]
    assert document["missing"] == ["start"]  # the test runs the app without the runner
    assert (await gateway.call("GET", "/schedules"))[1]["items"] == document["schedules"]


async def test_schedules_start_and_stop(gateway: Any) -> None:
    """An admin starts and stops; the default schedule by its name, others by id; a repeat is one command."""
    changed = ScheduleChanged(changed=True, schedule=SCHEDULE)
    await gateway.peers.answer(StartSchedule, lambda _: changed)
    await gateway.peers.answer(StopSchedule, lambda _: changed)
    headers = {"Idempotency-Key": "one"}
    for path in ("/schedules/default/start", f"/schedules/{USER}/start", f"/schedules/{USER}/stop"):
        for _ in range(2):
            status, document = await gateway.call("POST", path, role=KeyRole.ADMIN, headers=headers)
            assert (status, document["changed"]) == (200, True)
    starts = gateway.peers.of(StartSchedule)
    assert [each.schedule_id for each in starts] == [None, None, UUID(USER), UUID(USER)]
    assert len({each.cause for each in starts}) == 2
    assert len({each.cause for each in gateway.peers.of(StopSchedule)}) == 1
    assert (await gateway.call("POST", "/schedules/No.Such/start", role=KeyRole.ADMIN))[0] == 404


async def test_recipients(gateway: Any) -> None:
    """A recipient is made and changed by what is given; who is unknown is 404."""
    path = f"/recipients/{USER}"
    assert (await gateway.call("GET", path))[0] == 404
    given = {"email": "ann@example.org", "language": "pt-BR", "time_zone": "Europe/Madrid"}
    status, view = await gateway.call("PUT", path, json=given)
    assert (status, view["email"], view["version"]) == (200, "ann@example.org", 1)
    status, view = await gateway.call("PUT", path, json={"opted_out": True})
    assert (view["email"], view["opted_out"]) == ("ann@example.org", True)
    assert (await gateway.call("GET", path)) == (200, view)
    assert gateway.peers.of(PutRecipient)[0].role is None


WRONG_RECIPIENTS = [
    {"email": "ann"},
    {"email": "a@b c"},
    {"email": "a@b\r\nX: y"},
    {"language": "english!"},
    {"time_zone": "Mars"},
    {"time_zone": "../../etc/passwd"},
    {"telegram_chat_id": 2**63},
    {"telegram_chat_id": True},
    {"bot": "nobody"},
    {"role": "owner"},
    {"name": "Ann"},
    {"muted": ["fax"]},
    {"channel_order": ["push", "push"]},
    {"quiet_hours": {"start": "22:00", "end": "22:00"}},
    {"quiet_hours": {"start": 3600, "end": "22:00"}},
    {"quiet_hours": {"start": "22:00", "end": "7:00"}},
    {"quiet_hours": {"start": "22:00", "end": "07:00", "zone": "Mars"}},
    {"quiet_hours": {"start": "22:00+02:00", "end": "07:00"}},
    [],
    "x",
]


async def test_wrong_recipients(gateway: Any) -> None:
    """What cannot be, and what a caller may not decide (a role), is refused."""
    for given in WRONG_RECIPIENTS:
        assert (await gateway.call("PUT", f"/recipients/{USER}", json=given))[0] == 422
        assert gateway.peers.recipients == {}


async def test_push_subscriptions(gateway: Any) -> None:
    """A browser's subscription is taken flat, and as the browser itself writes it."""
    await gateway.peers.answer(
        AddPushSubscription, lambda asked: RecipientView(user_id=asked.user_id, version=1)
    )
    path = f"/recipients/{USER}/push-subscriptions"
    flat = {"endpoint": "https://push.example.org/x", **BROWSER_KEYS}
    nested = {
        "endpoint": flat["endpoint"],
        "expirationTime": None,
        "keys": BROWSER_KEYS,
    }
    for given in (flat, nested):
        assert (await gateway.call("POST", path, json=given))[0] == 201
    assert {each.subscription.model_dump_json() for each in gateway.peers.of(AddPushSubscription)} == {
        gateway.peers.of(AddPushSubscription)[0].subscription.model_dump_json()
    }
    for change in (
        {"endpoint": "ftp://x/y"}, {"endpoint": "https://"}, {"p256dh": "+/="}, {"auth": ""}, {"more": 1},
        {"endpoint": "https://x/a b"}, {"p256dh": "B" * 87}, {"p256dh": flat["auth"]}, {"auth": "A" * 21},
    ):  # fmt: skip
        status, problem = await gateway.call("POST", path, json={**flat, **change})
        assert (status, [each["field"] for each in problem["errors"]]) == (422, [*change])


async def test_campaigns(gateway: Any) -> None:
    """A campaign goes to senders whole, everybody's variables below their own; a repeat is one campaign."""
    await gateway.peers.answer(CreateCampaign, lambda _: CAMPAIGN)
    await gateway.peers.answer(GetCampaign, lambda _: CAMPAIGN)
    headers = {"Idempotency-Key": "letter-1"}
    first = await gateway.call("POST", "/campaigns", json=LETTER, headers=headers)
    assert first == (202, CAMPAIGN.model_dump(mode="json"))
    assert await gateway.call("POST", "/campaigns", json=LETTER, headers=headers) == first
    (command,) = gateway.peers.of(CreateCampaign)
    assert (command.template, command.channels) == ("letter", (Channel.EMAIL,))
    assert command.variables == {"name": "friend"}
    assert [each.variables for each in command.recipients] == [{}, {"name": "Ann"}]
    assert (await gateway.call("GET", f"/campaigns/{USER}")) == (200, first[1])


WRONG_CAMPAIGNS = [
    ({"recipients": []}, "recipients"),
    ({"recipients": [{}]}, "recipients.0"),
    ({"recipients": [{"user_id": USER, "name": 1}]}, "recipients.0.name"),
    ({"template": "x"}, "template"),
    ({"channels": ["telegram"]}, "template"),
    ({"body": {"text": "x"}}, ""),
    ({"bot": "x"}, "bot"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ({"variables": {}}, "variables"),
    ({"template": None, "channels": ["telegram"], "body": {"text": "*", "format": "markdown_v2"}}, "body"),
]


async def test_wrong_campaigns(gateway: Any) -> None:
    """A campaign that could not be sent to everybody is refused whole, and senders hear nothing of it."""
    for change, field in WRONG_CAMPAIGNS:
        status, problem = await gateway.call("POST", "/campaigns", json={**LETTER, **change})
        assert status == 422
        assert problem["errors"][0]["field"] == field
        if change == {"variables": {}}:
            assert problem["indexes"] == [0]
        assert gateway.peers.of(CreateCampaign) == []
