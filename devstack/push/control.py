"""The push service's control API; the table is in the docstring of `devstack.push`."""

from aiohttp import web
from pydantic import BaseModel, ConfigDict, field_validator

from devstack.control import control_app, read
from devstack.push import base64url, encryption
from devstack.push.faults import PushFault
from devstack.push.memory import Memory, Subscription


class SubscriptionWanted(BaseModel):
    """What a browser may say when it subscribes; the key is the application server's, base64url."""

    model_config = ConfigDict(extra="forbid")

    user: str | None = None
    applicationServerKey: str | None = None  # noqa: N815  # the Push API's own name

    @field_validator("applicationServerKey")
    @classmethod
    def _is_a_key(cls, value: str | None) -> str | None:
        if value is not None:
            encryption.public_key(base64url.decode(value))
        return value


class PushControl:
    """The handlers of the control API, over one memory; `origin` is where pushes go."""

    def __init__(self, memory: Memory, origin: str) -> None:
        self._memory = memory
        self._origin = origin

    def app(self) -> web.Application:
        """Return the application to serve."""
        return control_app(
            "push",
            [
                web.get("/subscriptions", self.subscriptions),
                web.post("/subscriptions", self.subscribe),
                web.post("/subscriptions/{id}/expire", self.expire),
                web.get("/messages", self.messages),
                web.get("/counters", self.counters),
                web.get("/faults", self.faults),
                web.post("/faults", self.add_fault),
                web.delete("/faults", self.clear_faults),
                web.post("/reset", self.reset),
            ],
        )

    async def subscriptions(self, _request: web.Request) -> web.Response:
        """List the subscriptions."""
        listed = [each.listing() for each in self._memory.subscriptions.values()]
        return web.json_response({"subscriptions": listed})

    async def subscribe(self, request: web.Request) -> web.Response:
        """Make a subscription: user, applicationServerKey (both optional)."""
        wanted = await read(request, SubscriptionWanted)
        made = self._memory.subscribe(self._origin, wanted.user, wanted.applicationServerKey)
        return web.json_response(made.listing(), status=201)

    async def expire(self, request: web.Request) -> web.Response:
        """Let a subscription expire: pushes to it get 410 from now on."""
        subscription = self._named(request)
        subscription.expired = True
        return web.json_response(subscription.listing())

    async def messages(self, request: web.Request) -> web.Response:
        """List messages as they came, decrypted, oldest first; ?subscription=id for one's."""
        wanted = request.query.get("subscription")
        messages = [each for each in self._memory.messages if wanted in {None, each.subscription.id}]
        return web.json_response({"messages": [each.listing() for each in messages]})

    async def counters(self, _request: web.Request) -> web.Response:
        """Show what was counted."""
        return web.json_response(self._memory.counts())

    async def faults(self, _request: web.Request) -> web.Response:
        """List the faults still to happen."""
        return web.json_response({"faults": self._memory.faults.listing()})

    async def add_fault(self, request: web.Request) -> web.Response:
        """Add a fault: kind, status, retry_after, seconds, subscription, times."""
        self._memory.faults.add(await read(request, PushFault))
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Withdraw all faults."""
        self._memory.faults.clear()
        return await self.faults(request)

    async def reset(self, request: web.Request) -> web.Response:
        """Forget messages, counters and faults; subscriptions stay."""
        self._memory.reset()
        return await self.counters(request)

    def _named(self, request: web.Request) -> Subscription:
        subscription = self._memory.subscriptions.get(request.match_info["id"])
        if subscription is None:
            raise web.HTTPNotFound
        return subscription
