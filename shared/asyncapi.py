"""The AsyncAPI 3 document of the system, made of its events, its questions and its topology."""

import inspect
import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter

from shared import events, queries, topology
from shared.events import Event
from shared.queries import Query

JSON = "application/json"
DESCRIPTION = (
    "Events are published to JetStream once, under a derived id (`Nats-Msg-Id`), and consumed by durables. "
    "Questions are asked by request-reply; the replicas of a service share a queue group. New fields are "
    "optional; readers leave out what they do not know."
)
HEADERS = {
    "type": "object",
    "required": ["Nats-Msg-Id", "Carillon-Event"],
    "properties": {
        "Nats-Msg-Id": {
            "type": "string",
            "description": "The event's id; `~r<n>` behind it in a later life.",
        },
        "Carillon-Event": {"type": "string", "description": "The event's name on the wire."},
        "Carillon-Event-Id": {"type": "string", "format": "uuid"},
        "Carillon-Replay": {"type": "string", "description": "How many lives the event has had before."},
        "traceparent": {"type": "string", "description": "W3C trace context."},
    },
}

Document = dict[str, Any]


def document(version: str) -> Document:
    """Return the document of everything that is said between services."""
    asked = [(query, query.reply) for query in queries.ALL]
    models = [*events.ALL, *(model for pair in asked for model in pair)]
    schemas = _schemas(models)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Carillon", "version": version, "description": DESCRIPTION},
        "defaultContentType": JSON,
        "channels": {
            **{_key(event.name): _event_channel(event) for event in events.ALL},
            **{_key(query.subject()): _question_channel(query) for query in queries.ALL},
            **{f"{_key(query.subject())}_reply": _reply_channel(query) for query in queries.ALL},
        },
        "operations": {
            **{
                f"{durable.name}_{_key(event.name)}": _consumes(durable, event)
                for durable in topology.DURABLES
                for event in events.ALL
                if any(covers(subject, event.pattern) for subject in durable.subjects)
            },
            **{_key(query.subject()): _answers(query) for query in queries.ALL},
        },
        "components": {
            "messages": {model.__name__: _message(model) for model in dict.fromkeys(models)},
            "schemas": schemas,
        },
    }


def covers(subject: str, pattern: str) -> bool:
    """Say whether a durable's subject takes events of a pattern, or some of them."""
    wanted, given = subject.split("."), pattern.split(".")
    for place, word in enumerate(wanted):
        if word == ">":
            return len(given) > place
        if place >= len(given) or not (word == "*" or given[place] in ("*", word)):
            return False
    return len(wanted) == len(given)


def _schemas(models: Iterable[type[BaseModel]]) -> Document:
    inputs = [(model.__name__, "serialization", TypeAdapter(model)) for model in dict.fromkeys(models)]
    found, shared = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]  # mode is a literal
    whole = {name: schema for (name, _), schema in found.items() if "$ref" not in schema}
    return {**whole, **shared.get("$defs", {})}


def _key(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _message(model: type[BaseModel]) -> Document:
    message: Document = {
        "name": getattr(model, "name", model.__name__),
        "title": model.__name__,
        "summary": (inspect.getdoc(model) or "").partition("\n")[0],
        "contentType": JSON,
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
    }
    return {**message, "headers": HEADERS} if issubclass(model, Event) else message


def _messages_of(*models: type[BaseModel]) -> Document:
    return {model.__name__: {"$ref": f"#/components/messages/{model.__name__}"} for model in models}


def _event_channel(event: type[Event]) -> Document:
    parts = event.pattern.split(".")
    names = [f"part{place}" if word == "*" else word for place, word in enumerate(parts)]
    address = ".".join(
        f"{{{name}}}" if word == "*" else word for name, word in zip(names, parts, strict=True)
    )
    streams = [
        each.name
        for each in topology.STREAMS
        if any(covers(subject, event.pattern) for subject in each.subjects)
    ]
    channel: Document = {
        "address": address,
        "title": event.name,
        "description": f"In {' and '.join(streams)}.",
        "messages": _messages_of(event),
    }
    if "*" in parts:
        inside = (inspect.getdoc(event.subject) or "").removeprefix("Return ")
        channel["parameters"] = {
            name: {"description": inside} for name, word in zip(names, parts, strict=True) if word == "*"
        }
    return channel


def _question_channel(query: type[Query[Any]]) -> Document:
    return {"address": query.subject(), "messages": _messages_of(query)}


def _reply_channel(query: type[Query[Any]]) -> Document:
    return {
        "address": None,
        "description": "The inbox that the question names.",
        "messages": _messages_of(query.reply),
    }


def _consumes(durable: topology.Durable, event: type[Event]) -> Document:
    channel = f"#/channels/{_key(event.name)}"
    return {
        "action": "receive",
        "title": f"{durable.service} takes {event.__name__}",
        "description": f"By the durable {durable.name} of the stream {durable.stream}.",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{event.__name__}"}],
        "tags": [{"name": durable.service}],
    }


def _answers(query: type[Query[Any]]) -> Document:
    channel = f"#/channels/{_key(query.subject())}"
    return {
        "action": "receive",
        "title": f"{query.service} answers {query.__name__}",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{query.__name__}"}],
        "reply": {
            "channel": {"$ref": f"{channel}_reply"},
            "messages": [{"$ref": f"{channel}_reply/messages/{query.reply.__name__}"}],
        },
        "tags": [{"name": query.service}],
    }
