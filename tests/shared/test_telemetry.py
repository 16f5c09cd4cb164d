"""Traces and logs: one trace over every border, JSON lines that carry it, no secret in either."""

import json
import logging
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from devstack.servers import free_port
from shared import telemetry

TOKEN = "123456789:AAF-made_up_token_of_thirty_five_chars"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans that end while the test runs."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "tracer", provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, as a service would be, after `telemetry.configure`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", f"from shared import telemetry\n{textwrap.dedent(script)}"],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def lines(script: str, **environment: str) -> list[dict[str, Any]]:
    """Run a script and read what it logged: JSON lines and nothing else."""
    return [json.loads(line) for line in run(script, **environment).stderr.splitlines()]


def test_a_trace_goes_on_behind_its_headers(spans: InMemorySpanExporter) -> None:
    """What an event carries is enough to continue the trace in another process."""
    with telemetry.span("press") as sender:
        headers = telemetry.inject()
        known = telemetry.trace_id()
    with telemetry.continued(headers), telemetry.span("store") as receiver:
        assert telemetry.trace_id() == known

    assert set(headers) == {"traceparent"}
    assert receiver.get_span_context().trace_id == sender.get_span_context().trace_id
    store = next(each for each in spans.get_finished_spans() if each.name == "store")
    assert store.parent is not None
    assert store.parent.span_id == sender.get_span_context().span_id


@pytest.mark.parametrize("state", [{}, {"tracestate": "vendor=value,other=thing"}])
@pytest.mark.parametrize("flags", ["00", "01"])
def test_a_trace_is_written_as_opentelemetry_does(flags: str, state: dict[str, str]) -> None:
    """Other programs read our headers: with the sampling and the state that came along."""
    headers = {"traceparent": f"00-{'0a' * 16}-{'0b' * 8}-{flags}", **state}
    expected: dict[str, str] = {}

    with telemetry.continued(headers):
        TraceContextTextMapPropagator().inject(expected)
        assert telemetry.inject() == expected == headers


@pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}, {"traceparent": "00-0-0-01"}])
def test_senseless_headers_begin_a_trace(spans: InMemorySpanExporter, headers: dict[str, str]) -> None:
    """An event without a trace, or with a broken one, is handled like any other."""
    with telemetry.continued(headers), telemetry.span("store"):
        pass

    assert spans.get_finished_spans()[0].parent is None


def test_the_trace_ends_with_its_block() -> None:
    """Nothing that comes later is hung onto a trace that was left."""
    with telemetry.continued({"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}):
        assert telemetry.trace_id() == "a" * 32

    assert telemetry.trace_id() is None
    assert telemetry.inject() == {}


def test_a_batch_is_linked_to_the_trace_of_each_event(spans: InMemorySpanExporter) -> None:
    """Many events handled at once belong to no one's trace and point to everyone's."""
    headers = [{"traceparent": f"00-{digit * 32}-{digit * 16}-01"} for digit in "ab"]

    with telemetry.batch_span("store presses", [*headers, {}]):
        pass

    links = spans.get_finished_spans()[0].links
    assert [f"{each.context.trace_id:032x}" for each in links] == ["a" * 32, "b" * 32]


@pytest.mark.parametrize("batch", [False, True])
def test_an_error_marks_its_span_with_its_class_only(spans: InMemorySpanExporter, batch: bool) -> None:
    """An error's text may hold an address or a token; the span says which error it was."""
    opened = telemetry.batch_span("send", []) if batch else telemetry.span("send")

    with pytest.raises(LookupError), opened:
        raise LookupError("ada@example.org")

    (span,) = spans.get_finished_spans()
    assert span.status.description == "LookupError"
    assert not span.status.is_ok
    assert "example.org" not in span.to_json()


def test_a_log_line_is_json_with_service_and_trace() -> None:
    """Lines can be searched by event, service and trace."""
    line, outside = lines("""
        from uuid import UUID
        telemetry.configure("clicks")
        log = telemetry.logger("anything")
        with telemetry.span("store"):
            log.info("press_stored", click_id=UUID(int=7), trace=telemetry.trace_id())
        log.warning("later")
    """)

    assert line["event"] == "press_stored"
    assert (line["level"], line["service"]) == ("info", "clicks")
    assert line["trace_id"] == line["trace"]
    assert len(line["span_id"]) == 16
    assert line["timestamp"].endswith("Z")
    assert line["click_id"] == str(UUID(int=7))
    assert outside["event"] == "later"
    assert "trace_id" not in outside


def test_the_level_is_a_setting_and_libraries_only_warn() -> None:
    """Our own lines follow LOG_LEVEL; a library's chatter never gets in."""
    found = lines("""
        import logging
        telemetry.configure("clicks", level="WARNING")
        telemetry.logger("own").info("too_low")
        telemetry.logger("own").error("high_enough")
        logging.getLogger("aiohttp").info("chatter")
        logging.getLogger("aiohttp").warning("library %s", "speaks")
    """)

    assert [(each["event"], each["level"]) for each in found] == [
        ("high_enough", "error"),
        ("library speaks", "warning"),
    ]
    assert found[1]["service"] == "clicks"


def test_no_secret_reaches_a_log_line() -> None:
    """The last line of defence: tokens by their shape, others by their value, wherever they are."""
    printed = run(f"""
        import logging
        telemetry.configure("senders")
        telemetry.register_secret("a-password-of-smtp")
        log = telemetry.logger("own")
        url = "https://api.telegram.org/bot{TOKEN}/sendMessage"
        log.info("called " + url, url=url, deep=[{{"inner": ("x", url)}}], raw=url.encode())
        log.info("failed", error=ValueError(url))
        log.info("mail", password="a-password-of-smtp", by={{"server": "said a-password-of-smtp!"}})
        logging.getLogger("aiohttp").error("failed: %s", url)
        try:
            raise ConnectionError(url)
        except ConnectionError:
            logging.getLogger("aiohttp").exception("failed")
            log.exception("own_failed")
    """)

    assert TOKEN.partition(":")[2] not in printed.stderr
    assert "a-password-of-smtp" not in printed.stderr
    assert printed.stderr.count("\n") == 6
    assert all(json.loads(line)["service"] == "senders" for line in printed.stderr.splitlines())


@pytest.mark.parametrize("logger", ["logging", "telemetry"])
def test_a_traceback_is_reduced_to_the_errors_class(logger: str) -> None:
    """A traceback's text holds values; its class and our own line are enough to find the fault."""
    (line,) = lines(f"""
        import logging
        telemetry.configure("senders")
        loggers = {{"logging": logging.getLogger("aiohttp"), "telemetry": telemetry.logger("own")}}
        try:
            telemetry.register_secret(None)
        except TypeError:
            loggers["{logger}"].exception("handling_failed")
    """)

    assert line["event"] == "handling_failed"
    assert line["error"] == "TypeError"
    assert line["where"].startswith("shared/telemetry.py:")
    assert "NoneType" not in json.dumps(line)


def test_short_values_are_no_secrets() -> None:
    """A secret of two letters would blacken every line."""
    telemetry.register_secret("ok")

    assert telemetry.redact(None, "info", {"event": "looks ok"}) == {"event": "looks ok"}


def test_numbers_stay_numbers() -> None:
    """Redacting changes text only."""
    event = {"event": "sent", "count": 3, "share": 0.5, "done": True, "nothing": None}

    assert telemetry.redact(None, "info", dict(event)) == event


def test_spans_are_printed_on_demand() -> None:
    """OTEL_TRACES_EXPORTER=console shows the spans of a process without a collector."""
    printed = run(
        """
        telemetry.configure("clicks")
        with telemetry.span("store"):
            pass
        """,
        OTEL_TRACES_EXPORTER="console",
    )

    span = json.loads(printed.stdout)
    assert span["name"] == "store"
    assert span["resource"]["attributes"]["service.name"] == "carillon-clicks"


def test_a_collector_that_is_away_hurts_nobody() -> None:
    """Traces are a courtesy: without a collector the work goes on at its usual pace."""
    printed = run(
        """
        import time
        telemetry.configure("clicks")
        began = time.monotonic()
        for _ in range(100):
            with telemetry.span("store"):
                pass
        print(time.monotonic() - began)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )

    assert float(printed.stdout) < 20


def test_a_collector_that_hangs_does_not_keep_a_process() -> None:
    """Whoever stops a service waits a few seconds for its last spans, and no longer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        printed = run(
            """
            import time
            from opentelemetry import trace
            telemetry.configure("clicks")
            with telemetry.span("store"):
                pass
            began = time.monotonic()
            trace.get_tracer_provider().shutdown()
            print(time.monotonic() - began)
            """,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}",
        )

    # Left to itself the exporter would wait for ten.
    assert float(printed.stdout) < 8


def test_spans_that_nobody_gets_have_ids_and_nothing_else() -> None:
    """Without a collector a trace still ties events and logs together, at little cost."""
    printed = run(
        """
        telemetry.configure("clicks")
        with telemetry.span("press") as outer, telemetry.span("store") as inner:
            assert not outer.is_recording() and not inner.is_recording()
            assert outer.get_span_context().trace_id == inner.get_span_context().trace_id
            print(telemetry.trace_id() in telemetry.inject()["traceparent"])
        """
    )

    assert printed.stdout.strip() == "True"


def test_traces_can_be_turned_off() -> None:
    """With OpenTelemetry's own switch work and logs go on, without ids."""
    (line,) = lines(
        """
        telemetry.configure("clicks")
        with telemetry.span("store"):
            telemetry.logger("here").info("stored", headers=telemetry.inject())
        """,
        OTEL_SDK_DISABLED="true",
    )

    assert line["headers"] == {}
    assert "trace_id" not in line


def test_where_names_our_own_line() -> None:
    """An error is traced to the last line of this project that it passed."""
    try:
        UUID("nonsense")
    except ValueError as error:
        found = telemetry.where(error)

    assert found.startswith("tests/shared/test_telemetry.py:")
    assert telemetry.where(ValueError("never raised")) == "?"


def test_logging_is_left_alone_until_it_is_configured() -> None:
    """Importing the module changes nothing for a program that only wants a logger."""
    assert not any(
        "structlog" in type(handler.formatter).__module__ for handler in logging.getLogger().handlers
    )
