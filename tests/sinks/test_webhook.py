"""The webhook, against a real server: signed, idempotent, and refused records put aside."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services import free_port
from zeroret.errors import ConfigurationError, RecordRefusedError, SinkError
from zeroret.journal import Journal
from zeroret.journal.deadletters import dead_letters
from zeroret.journal.delivery import Delivery
from zeroret.journal.folder import Folder
from zeroret.sinks.webhook import WebhookSink
from zeroret.usage.record import UsageRecord, decode

MakeRecord = Callable[..., UsageRecord]
SECRET = b"a secret of sixteen bytes and more"


class Endpoint:
    """A receiver that notes what it got, and answers as it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status: Callable[[bytes], int] = lambda _body: 204
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(outer.status(body))
                self.send_header("location", "https://elsewhere.test/")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.uri = f"webhook+http://127.0.0.1:{self.server.server_port}/usage"

    def close(self) -> None:
        """End the server."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Give a receiver, and the secret in the environment."""
    monkeypatch.setenv("ZERORET_WEBHOOK_SECRET", "whsec_" + base64.b64encode(SECRET).decode())
    started = Endpoint()
    yield started
    started.close()


def test_batches_are_signed(endpoint: Endpoint, make: MakeRecord) -> None:
    """Id, time and body are under the signature; the body has the policy's columns."""
    sink = WebhookSink(endpoint.uri, columns=["id", "policy", "usage_source"])
    sink.write([make(1), make(2)])
    sink.write([])
    sink.close()
    ((headers, body),) = endpoint.got
    identity, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    signed = f"{identity}.{timestamp}.".encode() + body
    right = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{right}"
    assert headers["idempotency-key"] == identity
    records = json.loads(body)["records"]
    assert [record["id"] for record in records] == [make(1).id, make(2).id]
    assert records[0].keys() == {"id", "policy", "usage_source"}


def test_the_same_batch_has_the_same_key(endpoint: Endpoint, make: MakeRecord) -> None:
    """A retry is known by its key, another batch has another."""
    sink = WebhookSink(endpoint.uri)
    for batch in ([make(1)], [make(1)], [make(2)]):
        sink.write(batch)
    sink.close()
    keys = [headers["idempotency-key"] for headers, _ in endpoint.got]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (500, "answered 500: the records wait"),
        (429, "answered 429: the records wait"),
        (401, "check the secret"),
        (302, "redirects, which is not followed"),
    ],
)
def test_other_answers_are_sent_again(
    endpoint: Endpoint, make: MakeRecord, status: int, sentence: str
) -> None:
    """Whatever is no acceptance and no refusal is a sentence, and one request only."""
    endpoint.status = lambda _body: status
    sink = WebhookSink(endpoint.uri)
    with pytest.raises(SinkError, match=sentence):
        sink.write([make(1)])
    sink.close()
    assert len(endpoint.got) == 1


def test_refused_records_are_put_aside(endpoint: Endpoint, make: MakeRecord, tmp_path: Any) -> None:
    """One record that the endpoint never takes does not hold up the others."""
    poison = make(7).id.encode()
    endpoint.status = lambda body: 422 if poison in body else 200
    journal = Journal(tmp_path / "j").open()
    sink = WebhookSink(endpoint.uri)
    with pytest.raises(RecordRefusedError):
        sink.write([make(7)])
    endpoint.got.clear()
    delivery = Delivery(journal, [("hook", sink)])
    for number in range(10):
        journal.append(make(number))
    assert delivery.flush(30)
    delivery.close()
    folder = Folder(tmp_path / "j")
    letters = dead_letters(folder, "hook")
    folder.close()
    assert [(reason, decode(record).id) for reason, record in letters] == [("HTTP422", make(7).id)]
    taken = [
        record["id"]
        for _, body in endpoint.got
        if poison not in body
        for record in json.loads(body)["records"]
    ]
    assert sorted(taken) == sorted(make(number).id for number in range(10) if number != 7)


def test_an_endpoint_that_is_away_is_a_sentence(endpoint: Endpoint, make: MakeRecord) -> None:
    """Nothing listens: the class of the error and the place are told."""
    sink = WebhookSink(f"webhook+http://127.0.0.1:{free_port()}/")
    with pytest.raises(SinkError, match=r"cannot be reached \(ConnectError\)"):
        sink.write([make(1)])
    sink.close()


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("webhook+http://billing.internal/usage", r"without TLS: write webhook\+https"),
        ("webhook+https:///usage", "needs a host"),
        ("webhook+https://me:sesame@host/usage", "no user or password"),
        ("webhook+https://host:port/", "cannot be read"),
        ("webhook+https://host/?secret_env=NO_SUCH", "the environment variable NO_SUCH"),
    ],
)
def test_mistakes_are_told(uri: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong URI, and a secret that is missing or short, are refused when the runtime is made."""
    monkeypatch.setenv("ZERORET_WEBHOOK_SECRET", "long enough for a test")
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        WebhookSink.check(uri)
    assert "sesame" not in str(caught.value)
    WebhookSink.check("webhook+https://host/?x=1")
    monkeypatch.setenv("ZERORET_WEBHOOK_SECRET", "short")
    with pytest.raises(ConfigurationError, match="at least 16 bytes"):
        WebhookSink.check("webhook+https://host/")
