"""Every route of the API under /api/v1, with the role that it needs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from services.gateway.api import campaigns, messages, reads, recipients, schedules, trial
from services.gateway.api.asking import Call
from services.gateway.domain.roles import KeyRole


@dataclass(frozen=True)
class Route:
    """A route: its path below /api/v1, the lowest role of key that may call it, and who answers."""

    method: str
    path: str
    role: KeyRole
    handle: Callable[[Call], Awaitable[web.Response]]


ROUTES: tuple[Route, ...] = (
    Route("POST", "/messages", KeyRole.SERVICE, messages.create_messages),
    Route("GET", "/messages", KeyRole.SERVICE, messages.list_messages),
    Route("GET", "/messages/{message_id}", KeyRole.SERVICE, messages.get_message),
    Route("DELETE", "/messages/{message_id}", KeyRole.SERVICE, messages.cancel_message),
    Route("POST", "/messaging/test", KeyRole.OWNER, trial.send_test),
    Route("GET", "/recipients/{user_id}", KeyRole.SERVICE, recipients.get_recipient),
    Route("PUT", "/recipients/{user_id}", KeyRole.SERVICE, recipients.put_recipient),
    Route(
        "POST", "/recipients/{user_id}/push-subscriptions", KeyRole.SERVICE, recipients.add_push_subscription
    ),
    Route("POST", "/campaigns", KeyRole.SERVICE, campaigns.create_campaign),
    Route("GET", "/campaigns/{campaign_id}", KeyRole.SERVICE, campaigns.get_campaign),
    Route("GET", "/promos", KeyRole.SERVICE, reads.list_promos),
    Route("GET", "/promo-log", KeyRole.SERVICE, reads.list_promo_log),
    Route("GET", "/clicks", KeyRole.SERVICE, reads.list_clicks),
    Route("GET", "/clicks/stats", KeyRole.SERVICE, reads.count_clicks),
    Route("GET", "/status", KeyRole.SERVICE, reads.status),
    Route("GET", "/schedules", KeyRole.SERVICE, schedules.list_schedules),
    Route("POST", "/schedules/{schedule_id}/start", KeyRole.ADMIN, schedules.start_schedule),
    Route("POST", "/schedules/{schedule_id}/stop", KeyRole.ADMIN, schedules.stop_schedule),
)
