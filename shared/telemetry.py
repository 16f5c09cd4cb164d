"""Traces and logs: one trace through HTTP, events and SQL; JSON lines with its id; no secret in either.

Spans are exported over OTLP when the standard OTEL_EXPORTER_OTLP_* variables name a collector
(`OTEL_TRACES_EXPORTER=console` prints them instead); without, nothing is recorded, and trace ids still tie
logs and events together.
"""

import logging
import os
import random
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT = "traceparent"
_propagator = TraceContextTextMapPropagator()
_secrets: set[str] = set()
_BOT_TOKEN = re.compile(r"\d{3,}:[A-Za-z0-9_-]{20,}")
_ROOT = Path(__file__).resolve().parent.parent

EXPORT_SECONDS = 3.0
"""What a collector may take where no variable says it: a process waits for it at its end."""
_TIMEOUTS = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")

tracer = trace.get_tracer("carillon")
_records = True
_numbers = True


def configure(service: str, *, level: str = "INFO") -> None:
    """Set up logs and traces of a process; called once, at its start."""
    _configure_logs(service, level)
    global _records, _numbers  # noqa: PLW0603 - a process has one configuration, as OpenTelemetry has
    _numbers = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
    console = os.environ.get("OTEL_TRACES_EXPORTER") == "console"
    _records = console or _collector_named()
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"carillon-{service}"}),
        # Where nobody gets spans a trace is its id, for logs and events, and costs little else.
        sampler=None if _records else ALWAYS_OFF,
    )
    if console:
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    elif _records:
        # With its protocol it takes 6 MB and some time, which who has no collector need not pay.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        bounded = any(os.environ.get(name) for name in _TIMEOUTS)
        exporter = OTLPSpanExporter(timeout=None if bounded else EXPORT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def records() -> bool:
    """Say whether anybody gets this process's spans."""
    return _records


def register_secret(value: str) -> None:
    """Name a value that must never be logged; a last line of defence behind not logging it."""
    if len(value) >= 6:
        _secrets.add(value)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger: constant event names, ids as fields."""
    found: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return found


def span(name: str, **attributes: str | int | float | bool) -> AbstractContextManager[trace.Span]:
    """Open a span; errors mark it with their class, never with their text."""
    if not _records:
        return _unrecorded()
    return _Opened(tracer.start_span(name, attributes=attributes))


def request_span(name: str, attributes: Mapping[str, str]) -> AbstractContextManager[trace.Span]:
    """Open the span of a request that came from outside."""
    if not _records:
        return _unrecorded()
    return _Opened(tracer.start_span(name, kind=trace.SpanKind.SERVER, attributes=attributes))


def batch_span(name: str, headers: Iterable[Mapping[str, str]]) -> AbstractContextManager[trace.Span]:
    """Open a span for many events at once, linked to the trace of each."""
    if not _records:
        return _Opened(_numbered())
    links = []
    for each in headers:
        found = trace.get_current_span(_propagator.extract(each)).get_span_context()
        if found.is_valid:
            links.append(trace.Link(found))
    return _Opened(tracer.start_span(name, links=links))


def _unrecorded() -> AbstractContextManager[trace.Span]:
    """Go on in the current span, where another would only be another number in its trace; else open one."""
    current = trace.get_current_span()
    return nullcontext(current) if current.get_span_context().is_valid else _Opened(_numbered())


def _numbered() -> trace.Span:
    """Return a span that is nothing but its ids; the SDK takes several times as long to make one."""
    if not _numbers:
        return trace.INVALID_SPAN
    ids = trace.SpanContext(
        trace_id=random.getrandbits(128) or 1,
        span_id=random.getrandbits(64) or 1,
        is_remote=False,
    )
    return trace.NonRecordingSpan(ids)


class _Opened:
    """A current span; OpenTelemetry's own way marks it with an error's text, and costs a multiple."""

    __slots__ = ("_span", "_token")

    def __init__(self, opened: trace.Span) -> None:
        self._span = opened

    def __enter__(self) -> trace.Span:
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._span.set_status(trace.StatusCode.ERROR, type(error).__name__)
        context.detach(self._token)
        self._span.end()


def inject() -> dict[str, str]:
    """Return the headers that carry the current trace."""
    # As OpenTelemetry's propagator writes them, which takes four times as long: every event has them.
    found = trace.get_current_span().get_span_context()
    if not found.is_valid:
        return {}
    headers = {TRACEPARENT: f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"}
    if found.trace_state:
        headers["tracestate"] = found.trace_state.to_header()
    return headers


def continued(headers: Mapping[str, str]) -> AbstractContextManager[None]:
    """Continue the trace that headers carry; where they carry none, the next span begins one."""
    return _Within(_propagator.extract(headers) if TRACEPARENT in headers else Context())


class _Within:
    """A context that is the current one for a while; a class costs a third of a generator."""

    __slots__ = ("_context", "_token")

    def __init__(self, entered: Context) -> None:
        self._context = entered

    def __enter__(self) -> None:
        self._token = context.attach(self._context)

    def __exit__(self, *_error: object) -> None:
        context.detach(self._token)


def trace_id() -> str | None:
    """Return the current trace's id in hex."""
    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else None


def where(error: BaseException) -> str:
    """Return where in this project an error came from, as `file:line`: enough to find it, no text of it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame for frame in frames if _ROOT in Path(frame.filename).parents and ".venv" not in frame.filename
    ]
    if not own:
        return "?"
    return f"{Path(own[-1].filename).relative_to(_ROOT)}:{own[-1].lineno}"


def _collector_named() -> bool:
    return any(
        os.environ.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )


def _configure_logs(service: str, level: str) -> None:
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        _adder(service),
        _without_traceback,
        redact,
    ]
    structlog.configure(
        processors=[*processors, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
        foreign_pre_chain=processors,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    # Libraries speak only when something is wrong.
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _adder(service: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


def _add_trace(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    found = trace.get_current_span().get_span_context()
    if found.is_valid:
        event["trace_id"] = f"{found.trace_id:032x}"
        event["span_id"] = f"{found.span_id:016x}"
    return event


def _without_traceback(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Reduce a traceback to the error's class and place: its text may hold addresses and values."""
    info = event.pop("exc_info", None)
    info = sys.exc_info() if info is True else info
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["where"] = where(error)
    event.pop("exception", None)
    return event


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take bot tokens and registered secrets out of every field."""
    return {name: _redacted(value) for name, value in event.items()}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        for secret in _secrets:
            value = value.replace(secret, "***")
        return _BOT_TOKEN.sub("***", value)
    if isinstance(value, Mapping):
        return {name: _redacted(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    # The renderer would write it down after this.
    return _redacted(str(value))
