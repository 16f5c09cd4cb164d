"""The OpenAPI 3.1 document of the API, made of its routes and of their models."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic import TypeAdapter

from services.gateway.api.problems import CONTENT_TYPE, ProblemDocument
from services.gateway.api.route import ADAPTERS, NAMED, PREFIX, Media, Route

JSON = "application/json"
DESCRIPTION = (
    "Send an API key as `Authorization: Bearer crl_…`; keys are made by `carillon keys create`. A key's role "
    "(service < admin < owner) says what it may do. Errors are problem details (RFC 9457). Lists are "
    "paginated: `cursor` of an answer asks for the next page and is null at the end. A command may carry an "
    "`Idempotency-Key`: sent again under the same key, it happens once."
)
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes the request the same request when it is sent again.",
    "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
}

Document = dict[str, Any]
Key = tuple[str, str, str]


def document(routes: Sequence[Route], version: str) -> Document:
    """Return the document of some routes."""
    schemas, definitions = _schemas(routes)
    paths: dict[str, Document] = {}
    refusals = sorted({status for route in routes for status in route.refusals()})
    for route in routes:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Carillon", "version": version, "description": DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": definitions,
            "responses": {_name_of(status): _refusal(status) for status in refusals},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "crl_…"}},
        },
        "security": [{"key": []}],
    }


def summary_of(route: Route) -> tuple[str, str]:
    """Return summary and description, from the docstring of what answers; both empty where there is none."""
    first, _, rest = (inspect.getdoc(route.handle) or "").partition("\n\n")
    return first.strip().removesuffix("."), rest.strip()


def _schemas(routes: Iterable[Route]) -> tuple[Mapping[Key, Document], Document]:
    """Return every schema by where it is used, and the definitions that they refer to."""
    inputs: list[tuple[Key, Literal["validation", "serialization"], TypeAdapter[Any]]] = [
        (("", "", "problem"), "serialization", TypeAdapter(ProblemDocument)),
        *((("", "", name), "validation", adapter) for name, adapter in ADAPTERS.items()),
    ]
    for route in routes:
        where = (route.method, route.path)
        if route.query is not None:
            inputs.append(((*where, "query"), "validation", TypeAdapter(route.query)))
        if route.body is not None and not isinstance(route.body, Media):
            inputs.append(((*where, "body"), "validation", TypeAdapter(route.body)))
        inputs += [
            ((*where, str(status)), "serialization", TypeAdapter(answer))
            for status, answer in route.answers.items()
            if answer is not None and not isinstance(answer, Media)
        ]
    found, shared = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")
    definitions = shared["$defs"]
    schemas = {key: schema for (key, _), schema in found.items()}
    # A query is told as parameters, never as a whole.
    wholes = {key: schema["$ref"].rpartition("/")[2] for key, schema in schemas.items() if key[2] == "query"}
    schemas |= {key: definitions[name] for key, name in wholes.items()}
    return schemas, {name: each for name, each in definitions.items() if name not in wholes.values()}


def _operation(route: Route, schemas: Mapping[Key, Document]) -> Document:
    summary, description = summary_of(route)
    operation: Document = {
        "operationId": getattr(route.handle, "__name__", ""),
        "tags": [route.path.split("/")[1]],
        "summary": summary,
        "description": "\n\n".join(part for part in (description, f"Role: {route.role.word}.") if part),
        "parameters": [*_in_path(route, schemas), *_in_query(route, schemas)],
        "responses": {
            **{str(status): _answer(route, status, schemas) for status in route.answers},
            **{
                str(status): {"$ref": f"#/components/responses/{_name_of(status)}"}
                for status in route.refusals()
            },
        },
    }
    if not route.is_read:
        operation["parameters"].append(IDEMPOTENCY_KEY)
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": _content(route.body, schemas.get((route.method, route.path, "body"))),
        }
    return operation


def _in_path(route: Route, schemas: Mapping[Key, Document]) -> list[Document]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"Which {NAMED[name].noun}.",
            "schema": schemas["", "", name],
        }
        for name in route.placeholders
    ]


def _in_query(route: Route, schemas: Mapping[Key, Document]) -> list[Document]:
    """Return the fields of the query's model as parameters; null is sent by leaving one out."""
    if route.query is None:
        return []
    fields = schemas[route.method, route.path, "query"]
    return [
        {
            "name": name,
            "in": "query",
            "required": name in fields.get("required", ()),
            "schema": _without_null(schema),
        }
        for name, schema in fields.get("properties", {}).items()
    ]


def _without_null(schema: Document) -> Document:
    kept = {name: value for name, value in schema.items() if name not in ("anyOf", "title")}
    if kept.get("default", ...) is None:
        del kept["default"]
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return {**kept, **(choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})}


def _answer(route: Route, status: int, schemas: Mapping[Key, Document]) -> Document:
    answer = route.answers[status]
    described: Document = {"description": HTTPStatus(status).phrase}
    if answer is not None:
        described["content"] = _content(answer, schemas.get((route.method, route.path, str(status))))
    return described


def _name_of(status: int) -> str:
    return HTTPStatus(status).name.title().replace("_", "")


def _refusal(status: int) -> Document:
    refusal: Document = {
        "description": HTTPStatus(status).phrase,
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }
    if status in (429, 503):
        refusal["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        }
    if status == 401:
        refusal["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}
    return refusal


def _content(kind: Any, schema: Document | None) -> Document:
    if isinstance(kind, Media):
        return {each: {"schema": {"type": "string"}} for each in kind.types}
    return {JSON: {"schema": schema}}
