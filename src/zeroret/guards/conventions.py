"""Conventions: what the well-known attributes of spans, metrics and events may show.

Each key of OpenTelemetry's semantic conventions that instrumentations set by themselves has its
rule: members of closed sets, numbers, the route's template, known hosts and models.

Source: https://opentelemetry.io/docs/specs/semconv/registry/attributes/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import names, program, vouching
from zeroret.guards.judging import Dropped
from zeroret.guards.rules import (
    Rule,
    closed,
    digits,
    each,
    error,
    file,
    function,
    host,
    method,
    model,
    module,
    number,
    passed,
    port,
    route,
    sink,
    status,
    template,
    thread,
    withheld,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroret.guards.judging import Judge

OPERATIONS: Final = frozenset(
    {
        *("chat", "completions", "text_completion", "generate_content", "embeddings", "responses"),
        *("create_agent", "invoke_agent", "execute_tool", "moderations", "image_generation"),
    }
)
"""Names of operations on models, ``gen_ai.operation.name``."""

_SCHEME: Final = closed("http", "https", "ws", "wss")
_VERSION: Final = closed("1.0", "1.1", "2", "2.0", "3", "3.0")
_PROTOCOL: Final = closed("http", "amqp", "mqtt", "websocket", "grpc", "spdy")
_TRANSPORT: Final = closed("tcp", "udp", "unix", "pipe", "quic", "ip_tcp", "ip_udp", "inproc")
_SYSTEM: Final = closed(
    *("openai", "anthropic", "cohere", "aws.bedrock", "az.ai.inference", "az.ai.openai", "gemini"),
    *("azure.ai.openai", "azure.ai.inference", "gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai"),
    *(
        "vertex_ai",
        "deepseek",
        "groq",
        "ibm.watsonx.ai",
        "mistral_ai",
        "perplexity",
        "xai",
        "_OTHER",
    ),
)
_FINISH: Final = closed(
    *("stop", "length", "content_filter", "tool_calls", "tool_call", "function_call", "error"),
    *("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"),
)
_DATABASE: Final = closed(
    *(
        "postgresql",
        "mysql",
        "mariadb",
        "sqlite",
        "redis",
        "mongodb",
        "mssql",
        "oracle",
        "other_sql",
    ),
    *("microsoft.sql_server", "oracle.db", "elasticsearch", "cassandra", "memcached", "clickhouse"),
)
_MESSAGING: Final = closed("kafka", "rabbitmq", "celery", "aws_sqs", "nats", "redis", "pulsar")
_MESSAGING_OPERATION: Final = closed("publish", "receive", "process", "create", "send", "settle")
_DATABASE_OPERATION: Final = closed(
    *("SELECT", "INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "ROLLBACK", "CREATE", "ALTER"),
    *("DROP", "PRAGMA", "GET", "SET", "DEL", "EXPIRE", "PING", "connect", "find", "aggregate"),
)

RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(("http.request.method", "http.method"), method),
    **dict.fromkeys(("http.response.status_code", "http.status_code"), status),
    "http.route": route,
    "zeroret.sink": sink,
    **dict.fromkeys(("url.template", "http.target"), template),
    **dict.fromkeys(("url.scheme", "http.scheme"), _SCHEME),
    **dict.fromkeys(("network.protocol.version", "http.flavor"), _VERSION),
    "network.protocol.name": _PROTOCOL,
    **dict.fromkeys(("network.transport", "net.transport"), _TRANSPORT),
    "network.type": closed("ipv4", "ipv6"),
    **dict.fromkeys(
        ("server.address", "net.peer.name", "net.host.name", "http.host", "network.local.address"),
        host,
    ),
    **dict.fromkeys(
        (
            *("server.port", "client.port", "network.peer.port", "network.local.port"),
            *("net.peer.port", "net.host.port"),
        ),
        port,
    ),
    **dict.fromkeys(
        (
            *("url.path", "url.query", "url.fragment", "url.original", "url.domain", "http.url"),
            *("http.server_name", "http.user_agent", "user_agent.original", "user_agent.name"),
            *("user_agent.version", "http.client_ip", "client.address", "net.peer.ip"),
            *("net.sock.peer.addr", "network.peer.address", "http.request.method_original"),
            *("enduser.id", "user.id", "user.email", "user.name", "user.full_name", "session.id"),
            *("gen_ai.conversation.id", "gen_ai.prompt", "gen_ai.completion"),
            *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"),
            *("gen_ai.tool.definitions", "gen_ai.tool.name", "gen_ai.tool.description"),
            *("gen_ai.tool.call.id", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"),
            *("gen_ai.response.id", "gen_ai.request.stop_sequences"),
            "gen_ai.retrieval.query.text",
        ),
        withheld,
    ),
    **dict.fromkeys(
        (
            *("url.full", "peer.service", "db.statement", "db.query.text", "db.query.summary"),
            *("db.user", "exception.message", "exception.stacktrace", "error.message"),
            *("messaging.message.body", "messaging.message.id", "messaging.destination.name"),
        ),
        passed,
    ),
    **dict.fromkeys(("gen_ai.system", "gen_ai.provider.name"), _SYSTEM),
    "gen_ai.operation.name": closed(*OPERATIONS),
    **dict.fromkeys(("gen_ai.request.model", "gen_ai.response.model"), model),
    "gen_ai.response.finish_reasons": each(_FINISH),
    "gen_ai.output.type": closed("text", "json", "image", "speech"),
    "gen_ai.token.type": closed("input", "output", "completion"),
    "gen_ai.request.encoding_formats": each(closed("float", "base64")),
    "openai.request.service_tier": closed("auto", "default", "flex", "priority"),
    "openai.response.service_tier": closed("auto", "default", "flex", "priority", "scale"),
    **dict.fromkeys(("error.type", "exception.type"), error),
    "exception.escaped": closed("True", "False", "true", "false"),
    **dict.fromkeys(("code.function", "code.function.name"), function),
    **dict.fromkeys(("code.filepath", "code.file.path"), file),
    **dict.fromkeys(("code.lineno", "code.line.number", "code.column.number"), number),
    **dict.fromkeys(("code.namespace", "logger.name"), module),
    "thread.name": thread,
    "thread.id": digits,
    "asgi.event.type": closed(
        *("http.request", "http.disconnect", "http.response.start", "http.response.body"),
        *("http.response.trailers", "websocket.connect", "websocket.receive", "websocket.send"),
        *("websocket.accept", "websocket.disconnect", "websocket.close"),
    ),
    "user_agent.synthetic.type": closed("bot", "test"),
    **dict.fromkeys(("db.system", "db.system.name"), _DATABASE),
    **dict.fromkeys(("db.operation", "db.operation.name"), _DATABASE_OPERATION),
    "messaging.system": _MESSAGING,
    **dict.fromkeys(("messaging.operation", "messaging.operation.type"), _MESSAGING_OPERATION),
    "rpc.system": closed("grpc", "jsonrpc", "aws-api", "connect_rpc"),
    "otel.status_code": closed("OK", "ERROR"),
}
"""Keys whose values say by themselves what they are."""


def attributes(judge: Judge, given: Any, rules: Mapping[str, Rule] = RULES) -> dict[str, Any]:
    """Return the attributes of a span, event, metric or log record as they may be shown.

    Args:
        judge: The judge of the event.
        given: The attributes.
        rules: The rules of keys that say what they are.
    """
    rest: dict[Any, Any] = {}
    shown: dict[str, Any] = {}
    for key, value in given.items():
        rule = rules.get(key) if isinstance(key, str) else None
        if rule is None:
            rest[key] = value
        else:
            found = rule(judge, value)
            if not isinstance(found, Dropped):
                shown[vouching.plain(key)] = found
    shown.update(judge.attributes(rest))
    # In the order they came in: exporters and eyes are used to it.
    return {plain: shown[plain] for key in given if (plain := _plain(key)) in shown}


def _plain(key: Any) -> str:
    return vouching.plain(key) if isinstance(key, str) else ""


def operation(judge: Judge, name: Any, given: Any, *, served: bool = True) -> str | None:
    """Return the name of an operation as it may be shown: of a span or a transaction.

    Args:
        judge: The judge of the event.
        name: The name given.
        given: The event's attributes as they may be shown.
        served: Whether it may be the exchange's own request; else it is one to somebody else.
    """
    shown = judge.name(name)
    if shown is not None:
        return shown
    text = vouching.plain(name) if isinstance(name, str) else ""
    shown = _derived(judge, text, given, served=served)
    judge.withheld += shown != text
    return shown


_ENDINGS: Final = (" http send", " http receive", " websocket send", " websocket receive")


def _derived(judge: Judge, text: str, given: Any, *, served: bool) -> str | None:
    """Return the name that method, route, model or function make, None if none of them is known."""
    known = judge.flight.route_template() if served and judge.flight is not None else None
    if (known is not None and text == known) or program.is_function(text):
        return text
    for ending in _ENDINGS:
        if text.endswith(ending):
            return f"{_request(text, given, known)}{ending}"
    first, _, rest = text.partition(" ")
    if first in OPERATIONS:
        return f"{first} {rest}" if judge.flight and rest in judge.flight.names else first
    verb = given.get("http.request.method") or given.get("http.method")
    if first in names.METHODS or verb in names.METHODS:
        return _request(text, given, known)
    return None


def _request(text: str, given: Any, known: str | None) -> str:
    """Return ``POST /chat/{id}``, as far as method and template are known."""
    verb = given.get("http.request.method") or given.get("http.method") or text.partition(" ")[0]
    return f"{verb if verb in names.METHODS else ''} {known or ''}".strip() or "HTTP"
