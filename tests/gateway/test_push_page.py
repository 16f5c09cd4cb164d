"""Push in the browser: links for visitors, the page, and the worker, as a real browser runs it."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.keys import vapid_keys
from services.gateway.api.push import pushing
from services.gateway.settings import GatewaySettings
from services.senders.channels import notification
from services.senders.domain.sending import PushContent
from shared import ids
from shared.bus import Refusal
from shared.links import Purpose
from shared.push import PUSH_SERVICES
from shared.queries import AddPushSubscription, DeletePushSubscription, RecipientView
from tests.devtools import CHROMIUM, Browser, chromium
from tests.gateway.conftest import BROWSER_KEYS, START

USER = ids.derived("user", 1)
KEY = vapid_keys()[1]
BROWSERS = {
    "endpoint": "https://fcm.googleapis.com/fcm/send/abc",
    "expirationTime": None,
    "keys": BROWSER_KEYS,
}
SIGNING_KEY = "k" * 32


@pytest.fixture
def settings(settings: GatewaySettings) -> GatewaySettings:
    """Return the settings of a gateway where push is set up."""
    return GatewaySettings.model_validate(
        {
            **settings.model_dump(),
            "public_url": f"http://{settings.listen}",
            "link_signing_keys": (SIGNING_KEY,),
            "push_vapid_public_key": KEY,
            "dashboard_url": "https://dashboard.example.org/app",
        }
    )


@pytest.fixture
async def taking(gateway: Any) -> Any:
    """Return a gateway whose senders take subscriptions."""
    await gateway.peers.answer(
        AddPushSubscription, lambda asked: RecipientView(user_id=asked.user_id, version=1)
    )
    return gateway


async def post(gateway: Any, **body: Any) -> tuple[int, Any]:
    """Post as a browser does, without a key."""
    async with gateway.http.post(f"{gateway.url}/push/subscriptions", json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_link_lets_its_person_subscribe_and_nobody_else(
    taking: Any, settings: GatewaySettings
) -> None:
    """The link's token subscribes the one person it was made for, and buys a longer one; forgeries do not."""
    status, link = await taking.call("POST", f"/recipients/{USER}/push-link")
    assert (status, link["url"]) == (201, f"{settings.public_url}/push#{link['token']}")
    status, answer = await post(taking, token=link["token"], subscription=BROWSERS)
    assert status == 201
    assert (await post(taking, token=answer["token"], subscription=BROWSERS))[0] == 201
    first, again = taking.peers.of(AddPushSubscription)
    assert first.user_id == again.user_id == USER
    assert first.cause != again.cause  # or what an operator took away would never come back
    assert first.at is not None  # who is forgotten later is not brought back by it
    assert again.at is not None
    assert timedelta() <= again.at - first.at < timedelta(minutes=1)
    assert first.subscription.endpoint == BROWSERS["endpoint"]
    links = settings.links()
    assert links is not None
    forged = link["token"][:-2] + ("AA" if link["token"][-2:] != "AA" else "BB")
    foreign = links.sign(Purpose.UNSUBSCRIBE, {"user": str(USER)})
    over = links.sign(Purpose.PUSH, {"user": str(USER)}, until=START - timedelta(days=400))
    nobodys = links.sign(Purpose.PUSH, {"user": "x"})
    for token in (forged, foreign, over, nobodys, "", "1..", "x" * 9000):
        assert (await post(taking, token=token, subscription=BROWSERS))[0] == 403
    assert len(taking.peers.of(AddPushSubscription)) == 2
    assert (await taking.call("POST", f"/recipients/{USER}/push-link", role=None))[0] == 401


async def test_who_was_forgotten_is_not_brought_back_by_a_token(gateway: Any) -> None:
    """A token of before somebody was forgotten is good for nothing, and looks like one that is over."""

    def refuse(_: AddPushSubscription) -> RecipientView:
        raise Refusal(410, "Forgotten", "forgotten since")

    await gateway.peers.answer(AddPushSubscription, refuse)
    _, link = await gateway.call("POST", f"/recipients/{USER}/push-link")
    assert (await post(gateway, token=link["token"], subscription=BROWSERS))[0] == 403


async def test_a_browser_takes_its_own_subscription_away(gateway: Any, settings: GatewaySettings) -> None:
    """Whoever has the token may leave; what is not there is away already, and a forgery takes nothing."""
    gone = Refusal(404, "Unknown subscription", "there is no such subscription")
    answers: list[Any] = [RecipientView(user_id=USER, version=2), gone]

    def take(_: DeletePushSubscription) -> RecipientView:
        answer = answers.pop(0)
        if isinstance(answer, Refusal):
            raise answer
        return answer  # type: ignore[no-any-return]  # a view

    await gateway.peers.answer(DeletePushSubscription, take)
    found = pushing(settings)
    assert found is not None
    token = found.token(USER, START, START + timedelta(days=40_000))
    url = f"{gateway.url}/push/subscriptions"
    for said, status in ((token, 204), (token, 204), (f"{token}x", 403)):
        body = {"token": said, "endpoint": BROWSERS["endpoint"]}
        async with gateway.http.delete(url, json=body) as answer:
            assert answer.status == status
    asked = gateway.peers.of(DeletePushSubscription)
    assert [(each.user_id, each.endpoint) for each in asked] == [(USER, BROWSERS["endpoint"])] * 2


@pytest.mark.parametrize(
    "endpoint",
    ["https://127.0.0.1/x", "https://metadata.internal/x", "https://fcm.googleapis.com.evil.example/x",
     "https://fcm.googleapis.com@evil.example/x", "http://fcm.googleapis.com/x", "https://notify.windows.com/x"],
)  # fmt: skip
async def test_a_browser_cannot_make_senders_post_anywhere(
    gateway: Any, settings: GatewaySettings, endpoint: str
) -> None:
    """What a visitor names is posted to from inside: only push services that are known are taken."""
    found = pushing(settings)
    assert found is not None
    token = found.token(USER, START, START + timedelta(days=40_000))
    status, _ = await post(gateway, token=token, subscription={**BROWSERS, "endpoint": endpoint})
    assert status == 422


def test_known_services_are_taken(settings: GatewaySettings) -> None:
    """The endpoints of today's browsers are of services that are known, and so is what the setting adds."""
    more = settings.model_copy(update={"push_services": ("push.example.org",)})
    found = pushing(more)
    assert found is not None
    for host in ("fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com",
                 "wns2-par02p.notify.windows.com", "push.example.org"):  # fmt: skip
        assert found.services.know(f"https://{host}/abc")
    assert len(PUSH_SERVICES) == 4


async def test_the_page_is_closed_to_others(gateway: Any) -> None:
    """Nothing on the page is from elsewhere or inline, nobody may frame it, and no old one is kept."""
    for path, content_type in (
        ("/push", "text/html"), ("/push/page.js", "text/javascript"), ("/push/worker.js", "text/javascript"),
        ("/push/setup.js", "text/javascript"), ("/push/page.css", "text/css"),
        ("/icon-192x192.png", "image/png"), ("/badge-96x96.png", "image/png"),
    ):  # fmt: skip
        async with gateway.http.get(gateway.url + path) as answer:
            assert (answer.status, answer.content_type) == (200, content_type)
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["Cache-Control"] == "no-cache"
            assert answer.headers["Referrer-Policy"] == "no-referrer"


class TestWithoutPush:
    """A gateway where push is not set up."""

    @pytest.fixture
    def settings(self, settings: GatewaySettings) -> GatewaySettings:
        """Take the key away again."""
        return settings.model_copy(update={"push_vapid_public_key": None})

    async def test_says_what_is_missing(self, gateway: Any) -> None:
        """A link is refused with what has to be set, and there is no page."""
        status, problem = await gateway.call("POST", f"/recipients/{USER}/push-link")
        assert (status, "PUSH_VAPID_PUBLIC_KEY" in problem["detail"]) == (409, True)
        async with gateway.http.get(f"{gateway.url}/push") as answer:
            assert answer.status == 404


# --- in a browser -----------------------------------------------------------------------------------------

# The push service of Chromium is out of reach here: its part, and nothing else, is played.
PLAYED = f"""
const MADE = {json.dumps(BROWSERS)};
PushManager.prototype.subscribe = async function (options) {{
  const key = [...new Uint8Array(options.applicationServerKey)];
  if (key.length !== 65 || !options.userVisibleOnly) throw new TypeError("wrong options");
  return {{ options: {{}}, toJSON: () => MADE }};
}};
"""


def state(name: str) -> str:
    """Return a script that says whether the page is in a state."""
    return f"document.body?.dataset.state === '{name}'"


async def opened(browser: Browser, gateway: Any, permission: str = "granted") -> str:
    """Open the page by a link that a service made, as somebody who has decided about notifications."""
    _, link = await gateway.call("POST", f"/recipients/{USER}/push-link")
    page = await browser.page(390, 760)
    await browser.call(
        "Browser.setPermission", permission={"name": "notifications"}, setting=permission, origin=gateway.url
    )
    await browser.call("ServiceWorker.enable", page)
    await browser.call("Page.addScriptToEvaluateOnNewDocument", page, source=PLAYED)
    await browser.call("Page.navigate", page, url=link["url"])
    await browser.until(page, "!!document.body?.dataset.state")
    return page


async def worker_of(browser: Browser, page: str, gateway: Any) -> str:
    """Return a session with the page's worker, started again if it has been idle."""
    async with asyncio.timeout(60):
        while True:
            await browser.call("ServiceWorker.startWorker", page, scopeURL=f"{gateway.url}/push")
            for target in (await browser.call("Target.getTargets"))["targetInfos"]:
                if target["type"] == "service_worker":
                    return await browser.attach(target["targetId"])
            await asyncio.sleep(0.1)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_a_browser_subscribes_and_shows_what_is_pushed(taking: Any, tmp_path: Path) -> None:
    """The page registers the worker, which shows a push as senders write it and leads to the dashboard."""
    async with chromium(tmp_path / "browser") as browser:
        page = await opened(browser, taking)
        assert await browser.run(page, "location.hash") == ""
        await browser.run(page, "document.getElementById('act').click()")
        await browser.until(page, state("on"))
        (asked,) = taking.peers.of(AddPushSubscription)
        assert (asked.user_id, asked.subscription.p256dh) == (USER, BROWSER_KEYS["p256dh"])
        registered = await browser.event(
            "ServiceWorker.workerRegistrationUpdated", lambda told: bool(told["registrations"])
        )
        registration = registered["params"]["registrations"][0]["registrationId"]

        async def pushed(payload: str, tag: str) -> Any:
            # DevTools drops in silence what comes before the registration has been written to disk.
            while True:
                await browser.call(
                    "ServiceWorker.deliverPushMessage", page,
                    origin=taking.url, registrationId=registration, data=payload,
                )  # fmt: skip
                if shown := await seen(browser, page, tag):
                    return shown

        content = PushContent(
            title="🚨 Close now: EURUSD", body="🔴 SELL hit its stop loss.", icon="/icon-192x192.png",
            badge="/badge-96x96.png", url="/dashboard/positions", urgency="high",
        )  # fmt: skip
        shown = await pushed(notification.write(content, "topic").decode(), "topic")
        assert shown == {
            "title": content.title, "body": content.body, "icon": f"{taking.url}/icon-192x192.png",
            "badge": f"{taking.url}/badge-96x96.png", "stays": True,
            "url": "https://dashboard.example.org/app/dashboard/positions",
        }  # fmt: skip
        far = json.dumps({"title": "x", "tag": "far", "data": {"url": "https://evil.example/"}})
        assert (await pushed(far, "far"))["url"] == "https://dashboard.example.org/app/"
        assert (await pushed("not JSON", ""))["body"] == "not JSON"
        await clicked_and_renewed(browser, page, taking)


async def seen(browser: Browser, page: str, tag: str) -> Any:
    """Return what is shown under a tag within seconds, or None."""
    parts = "title: n.title, body: n.body, icon: n.icon, badge: n.badge, stays: n.requireInteraction"
    script = f"""(async () => {{
      const there = await navigator.serviceWorker.ready;
      for (let turn = 0; turn < 40; turn++) {{
        const n = (await there.getNotifications()).find(each => each.tag === {json.dumps(tag)});
        if (n) return {{{parts}, url: n.data.url}};
        await new Promise(done => setTimeout(done, 50));
      }}
      return null;
    }})()"""
    return await browser.run(page, script)


async def clicked_and_renewed(browser: Browser, page: str, gateway: Any) -> None:
    """A click opens what the notification names and closes it; a subscription that is replaced is told."""
    worker = await worker_of(browser, page, gateway)
    await browser.run(worker, "clients.openWindow = async url => { self.opened = url; }")
    await browser.run(worker, PLAYED)
    await browser.run(
        worker,
        "registration.getNotifications({tag: 'topic'}).then(([notification]) => "
        "self.dispatchEvent(new NotificationEvent('notificationclick', {notification})))",
    )
    await browser.until(worker, "self.opened === 'https://dashboard.example.org/app/dashboard/positions'")
    await browser.until(
        page,
        "navigator.serviceWorker.ready.then(r => r.getNotifications({tag: 'topic'})).then(n => !n.length)",
    )
    await browser.run(worker, "self.dispatchEvent(new ExtendableEvent('pushsubscriptionchange'))")
    async with asyncio.timeout(60):
        while len(gateway.peers.of(AddPushSubscription)) < 2:
            await asyncio.sleep(0.05)
    assert gateway.peers.of(AddPushSubscription)[1].user_id == USER


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_the_page_says_what_is_in_the_way(taking: Any, tmp_path: Path) -> None:
    """Blocked notifications, a browser without push, no link: each has its own words and no button."""
    async with chromium(tmp_path / "browser") as browser:
        page = await opened(browser, taking, "denied")
        assert await browser.run(page, "document.body.dataset.state") == "denied"
        assert "settings" in await browser.run(page, "document.getElementById('words').textContent")
        assert await browser.run(page, "document.getElementById('act').hidden")
        other = await browser.page()
        await browser.call("Page.addScriptToEvaluateOnNewDocument", other, source="delete window.PushManager")
        await browser.call("Page.navigate", other, url=f"{taking.url}/push#x")
        await browser.until(other, state("unsupported"))
    async with chromium(tmp_path / "another") as browser:
        page = await browser.page()
        await browser.call("Page.navigate", page, url=f"{taking.url}/push")
        await browser.until(page, state("nolink"))
