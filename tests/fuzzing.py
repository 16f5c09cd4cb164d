"""Schemathesis over the API's own document: what its schemas allow, and what they do not."""

import contextlib
from collections.abc import Iterator
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

# What the schemas allow may still be refused with 422: a text by Telegram's parser, a template by its
# variables, a bot by its name.
ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "413", "422", "429", "503"]


def failures_of(
    url: str, key: str, examples: int, *, below: tuple[str, ...] = ("/",), others_away: bool = False
) -> list[str]:
    """Return what is wrong with the answers of the operations below some paths, in all checks.

    `examples` of each kind are tried per operation. Where other services are away, 503 is no fault.
    """
    checks: dict[str, Any] = {"positive_data_acceptance": {"expected-statuses": ACCEPTED}}
    if others_away:
        checks["not_a_server_error"] = {"expected-statuses": ["2xx", "3xx", "4xx", "503"]}
    config = SchemathesisConfig.from_dict({"checks": checks})
    schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json", config=config)
    headers = {"Authorization": f"Bearer {key}"}
    wrong: list[str] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.startswith(below):
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                wrong += _tried(operation, mode, headers, examples)
    return wrong


def _tried(operation: Any, mode: GenerationMode, headers: dict[str, str], examples: int) -> Iterator[str]:
    wrong: dict[str, str] = {}

    def attempt(case: Any) -> None:
        response = case.call(headers=headers, timeout=30)
        try:
            case.validate_response(response, headers=headers)
        except BaseExceptionGroup as group:
            for each in group.exceptions:
                wrong.setdefault(
                    type(each).__name__,
                    f"{operation.method.upper()} {operation.path} ({mode.value}): {each}; sent {case.query} "
                    f"{case.body!r:.300}; got {response.status_code} {response.text:.300}",
                )

    # An operation that takes nothing has nothing wrong to be sent.
    with contextlib.suppress(schemathesis.errors.InvalidSchema):
        settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )(given(operation.as_strategy(generation_mode=mode))(attempt))()
    yield from wrong.values()
