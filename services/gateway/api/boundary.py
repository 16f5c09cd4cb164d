"""The outermost boundary of every request: a server span, errors as problems, and a count."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from uuid import uuid4

from aiohttp import web
from opentelemetry.trace import Span, StatusCode

from services.gateway.api.problems import Problem
from shared import metrics, telemetry
from shared.bus import BusUnavailable, NoAnswer, Refusal, TooLarge
from shared.database import is_conflict, is_locked, is_unavailable

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = telemetry.logger(__name__)


@web.middleware
async def boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request, whatever happens, and continue the trace that it carries."""
    route = route_of(request)
    method = request.method if request.method in METHODS else "OTHER"
    attributes = {"http.request.method": method, "http.route": route}
    with (
        telemetry.continued(request.headers),
        telemetry.request_span(f"{method} {route}", attributes) as span,
    ):
        response = await _answer(request, handler)
        note(span, route, method, response.status)
    return response


def note(span: Span, route: str, method: str, status: int) -> None:
    """Note how a request was answered, in its span and among the metrics."""
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(StatusCode.ERROR)
    metrics.counter(metrics.API_REQUESTS, route, method, status).inc()


def route_of(request: web.Request) -> str:
    """Return the template of the request's route, a bounded word."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNMATCHED


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        return problem_of_http(error).response()
    except web.RequestPayloadError:
        # The body is not in the Content-Encoding that it claims, or broke off.
        return Problem(400, "Bad request", "the body cannot be read as its headers say").response()
    except Exception as error:  # noqa: BLE001 - the outermost boundary of every request
        return problem_of(error).response()


def problem_of(error: Exception) -> Problem:
    """Return the problem that an error is to the outside; what nobody foresaw gets an id and no words."""
    match error:
        case Refusal():
            return _problem_of_refusal(error)
        case NoAnswer():
            return Problem(503, "Service unavailable", str(error), headers={"Retry-After": "1"})
        case TooLarge():
            return Problem(413, "Content too large", "the request is larger than the broker takes")
        case BusUnavailable():
            detail = "the broker did not confirm in time; send the request again"
            return Problem(503, "Service unavailable", detail, headers={"Retry-After": "1"})
    lost = is_locked(error) or is_conflict(error)
    if lost or is_unavailable(error):
        log.warning("request_lost_to_others" if lost else "dependency_away", error=type(error).__name__)
        detail = "others change the same; send the request again" if lost else "the database is away"
        return Problem(503, "Service unavailable", detail, headers={"Retry-After": "1"})
    error_id = uuid4().hex
    log.error("request_failed", error_id=error_id, error=type(error).__name__, where=telemetry.where(error))
    return Problem(500, "Internal error", f"error id {error_id}", error_id=error_id)


def _problem_of_refusal(refusal: Refusal) -> Problem:
    problem = Problem(refusal.status, refusal.title, refusal.detail)
    problem.extra = refusal.extra
    return problem


def problem_of_http(error: web.HTTPException) -> Problem:
    """Return the problem that an error of the server's own is."""
    title = HTTPStatus(error.status).phrase
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Problem(405, title, f"allowed: {allowed}", headers={"Allow": allowed})
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return Problem(413, "Content too large", "the body is larger than is taken here")
    return Problem(error.status, title)
