"""A test message: the normal path, with the outcome waited for a few seconds."""

import asyncio
import time
from typing import Any
from uuid import UUID

from aiohttp import web

from services.gateway.api.answers import TrialOutcome
from services.gateway.api.asking import Call, answer
from services.gateway.api.messages import publish_requests
from services.gateway.api.problems import Problem
from services.gateway.api.requests import TrialIn
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.bus import NoAnswer, Refusal
from shared.events import Channel, Lane, MessageRequested, State
from shared.queries import GetMessage, GetRecipient, MessageView, RecipientView
from shared.requesting import VALID, template_errors

SECONDS = 5.0
LOOK_SECONDS = 0.1

_WAITS = frozenset({"throttled", "rate_limit"})
_UNFORESEEN = frozenset({"unforeseen", "dead_letter"})
_EXPIRED = frozenset({"expired_subscription", "foreign_subscription", "no_address"})


async def send_test(call: Call) -> web.Response:
    """Send somebody a test message; answer with what became of it within five seconds."""
    given = await call.read(TrialIn)
    _check_address(await _recipient(call, given.user_id), given.channel)
    await _check_template(call, given)
    now = call.door.now()
    event = MessageRequested(
        id=ids.derived("test message", call.cause()), at=now, lane=Lane.TRANSACTIONAL,
        channels=(given.channel,), user_id=given.user_id, template=given.template_name,
        variables=given.template_vars, expires_at=now + VALID[Lane.TRANSACTIONAL], metadata={"test": True},
    )  # fmt: skip
    started = time.monotonic()
    await publish_requests(call, [event])
    view = await _outcome(call, event.id, started + SECONDS)
    status, error = status_of(view, given.channel)
    took = (
        round((time.monotonic() - started) * 1000)
        if status in ("sent", "failed", "no_subscription")
        else None
    )
    document: dict[str, Any] = {
        "status": status,
        "message_id": str(event.id),
        "delivery_time_ms": took,
        "error": error,
    }
    return answer(document, 202)


async def _recipient(call: Call, user_id: UUID) -> RecipientView:
    try:
        return await call.door.bus.ask(GetRecipient(user_id=user_id))
    except Refusal as refusal:
        if refusal.status == 404:
            raise Problem(404, "Unknown user", "there is no recipient of that id") from None
        raise


def _check_address(recipient: RecipientView, channel: Channel) -> None:
    has = {
        Channel.TELEGRAM: recipient.telegram_chat_id is not None,
        Channel.EMAIL: recipient.email is not None,
        Channel.PUSH: bool(recipient.push_subscriptions),
    }
    if not has[channel]:
        raise Problem(400, "No address", f"this user has no address for {channel}")


async def _check_template(call: Call, given: TrialIn) -> None:
    known = await call.door.templates.all()
    errors = template_errors(known, given.template_name, (given.channel,), given.template_vars)
    if errors:
        names = {"template": "template_name", "variables": "template_vars"}
        shown = [{**error, "field": names[error["field"]]} for error in errors]
        detail = "; ".join(f"{error['field']}: {error['message']}" for error in shown)
        raise Problem(400, "Invalid template", detail, errors=shown)


async def _outcome(call: Call, message_id: UUID, until: float) -> MessageView | None:
    """Return what is known of the message when it is settled, or when the time is over."""
    view = None
    while (left := until - time.monotonic()) > 0:
        try:
            view = await call.door.bus.ask(GetMessage(message_id=message_id), timeout=left)
        except NoAnswer:
            return view
        except Refusal as refusal:
            # It is on its way to the ledger.
            if refusal.status not in (404, 503):
                raise
        if view is not None and (view.state is not State.PENDING or _is_unforeseen(view)):
            return view
        await asyncio.sleep(min(LOOK_SECONDS, left))
    return view


def status_of(view: MessageView | None, channel: Channel) -> tuple[str, str | None]:
    """Say in the words of the API what became of a test message, with the reason."""
    if view is None:
        return "queued", None
    if _is_unforeseen(view):
        raise Problem(500, "Internal error", f"error id {view.id}", error_id=str(view.id))
    reason = _reason_of(view)
    match view.state:
        case State.SENT:
            return "sent", None
        case State.PENDING:
            return ("rate_limited" if reason in _WAITS else "queued"), reason
        case State.AMBIGUOUS:
            return "queued", reason
    if channel is Channel.PUSH and reason in _EXPIRED:
        return "no_subscription", reason
    return "failed", reason


def _is_unforeseen(view: MessageView) -> bool:
    """Say whether an attempt met a fault that nobody foresaw, be it the first of several."""
    return view.state is not State.SENT and _reason_of(view) in _UNFORESEEN


def _reason_of(view: MessageView) -> str | None:
    return view.reason or next((each.reason for each in reversed(view.deliveries) if each.reason), None)


ROUTES = (
    Route(
        "POST",
        "/messaging/test",
        KeyRole.OWNER,
        send_test,
        {202: TrialOutcome},
        refuses=(404,),
        body=TrialIn,
    ),
)
