"""The audit over the API: whether everything that was accepted is accounted for."""

from aiohttp import web
from pydantic import BaseModel, Field

from services.gateway.api.asking import Call, answer
from services.gateway.api.requests import Strict
from services.gateway.api.route import Route
from services.gateway.domain.roles import KeyRole
from shared.queries import AuditLine
from shared.record.auditing import audit


class AuditDone(BaseModel):
    """An audit: `late` durables had not passed the cut in time, `silent` services did not answer."""

    balanced: bool
    lines: tuple[AuditLine, ...]
    late: tuple[str, ...]
    silent: tuple[str, ...]
    messages: dict[str, int]
    dead_letters: int
    lost: tuple[str, ...]


class AuditIn(Strict):
    """How long an audit waits for every durable to pass its cut."""

    wait_seconds: float = Field(default=10.0, ge=0, le=300, allow_inf_nan=False)


async def run_audit(call: Call) -> web.Response:
    """Compare streams and tables of all services up to a cut: minutes, where there are millions of events."""
    done = await audit(call.door.bus, wait_seconds=call.query(AuditIn).wait_seconds)
    return answer(AuditDone.model_validate(done.as_dict()))


ROUTES = (Route("GET", "/audit", KeyRole.OWNER, run_audit, {200: AuditDone}, query=AuditIn),)
