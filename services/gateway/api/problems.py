"""Errors as RFC 9457 problem documents."""

from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

CONTENT_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """What is wrong with one field of a request; `index` says in which item of a batch."""

    field: str
    message: str
    index: int = 0


class ProblemDocument(BaseModel):
    """A problem (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[FieldError, ...] = ()
    indexes: tuple[int, ...] = ()
    error_id: str = ""
    """By which those who run Carillon find what happened in the logs."""


class Problem(Exception):
    """An answer that is an error; `extra` are further members of its document."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(f"{status} {title}")
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers
        self.extra = extra

    def document(self) -> dict[str, Any]:
        """Return the problem as its document."""
        document: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        return {**document, **self.extra}

    def body(self) -> bytes:
        """Return the document as it is sent."""
        return orjson.dumps(self.document(), default=str)

    def response(self) -> web.Response:
        """Return the document as a response."""
        return web.Response(
            status=self.status, body=self.body(), content_type=CONTENT_TYPE, headers=self.headers
        )


def errors_of(error: ValidationError, *, inside: str = "") -> list[dict[str, Any]]:
    """Return what is wrong, field by field, without the values that are wrong."""
    return [
        {"field": _field(each, inside), "message": _message(each)}
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def invalid(errors: Sequence[dict[str, Any]], **extra: Any) -> Problem:
    """Return the problem of a request whose fields are wrong, naming each."""
    shown = "; ".join(f"{_named(each)}{each['message']}" for each in errors[:5])
    more = f"; and {len(errors) - 5} more" if len(errors) > 5 else ""
    return Problem(422, "Invalid request", shown + more, errors=list(errors), **extra)


def key_held() -> Problem:
    """Return the problem that somebody has what is known of the caller's API key locked."""
    detail = "what is known of this key is locked; send the request again"
    return Problem(503, "Service unavailable", detail, headers={"Retry-After": "1"})


def _named(error: dict[str, Any]) -> str:
    place = f"[{error['index']}]" if "index" in error else ""
    where = ".".join(part for part in (place, error["field"]) if part)
    return f"{where}: " if where else ""


def _field(error: ErrorDetails, inside: str) -> str:
    return ".".join(part for part in (inside, *(str(part) for part in error["loc"])) if part)


def _message(error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "unknown field"
        case "missing":
            return "is missing"
        case _:
            return error["msg"].removeprefix("Value error, ")
