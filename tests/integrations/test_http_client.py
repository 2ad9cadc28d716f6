"""http.client and urllib: requests are judged before anything of them is sent."""

from __future__ import annotations

import http.client
import io
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from scenes import Scene
from zeroret.errors import RetentionViolation
from zeroret.guards import network

pytestmark = pytest.mark.usefixtures("guarded")


WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "text": lambda content: {"body": content},
    "bytes": lambda content: {"body": content.encode()},
    "file": lambda content: {"body": io.BytesIO(content.encode())},
    "text file": lambda content: {"body": io.StringIO(content)},
    "pieces": lambda content: {"body": (content[at : at + 7].encode() for at in range(0, 90, 7))},
    "header": lambda content: {"headers": {"X-Note": content}},
    "path": lambda content: {"url": "/" + content.replace(" ", "%20")},
}


def ask(client: http.client.HTTPConnection, url: str = "/", **options: Any) -> bytes:
    """Make one request on an open connection."""
    client.request("POST", url, **options)
    return client.getresponse().read()


@pytest.mark.parametrize("way", WAYS)
def test_content_stays(way: str, content: str, scene: Scene) -> None:
    """A pooled connection is judged anew for each request, whatever part of it holds content."""
    client = http.client.HTTPConnection(scene.evil.name)
    allowed = http.client.HTTPConnection(scene.upstream.name)
    with scene.exchange(upstreams=[scene.upstream.name]):
        ask(client, body=b"words of the program's own")
        with pytest.raises(RetentionViolation) as caught:
            ask(client, **WAYS[way](content))
        client.close()
        ask(client, body=b"words of the program's own")
        ask(allowed, **WAYS[way](content))
    client.close()
    allowed.close()
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert [noted.body for noted in scene.evil.requests] == [b"words of the program's own"] * 2
    assert len(scene.upstream.requests) == 1


def test_what_is_sent_by_hand_is_seen(content: str, scene: Scene) -> None:
    """``send`` after a finished head is judged, too, declared or not."""
    for declared in (True, False):
        client = http.client.HTTPConnection(scene.evil.name)
        with scene.exchange(upstreams=[]):
            client.putrequest("POST", "/")
            if declared:
                client.putheader("Content-Length", str(len(content)))
            client.endheaders()
            with pytest.raises(RetentionViolation):
                client.send(content.encode())
        client.close()


def test_no_name_is_looked_up_for_what_stays(
    content: str, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    """A host name that holds content reaches no resolver."""
    asked: list[Any] = []
    monkeypatch.setattr("socket.getaddrinfo", asked.append)
    host = content.replace(" ", "-")[:60] + ".evil.test"
    with scene.exchange(upstreams=[]):
        with pytest.raises(RetentionViolation):
            ask(http.client.HTTPConnection(host))
        with pytest.raises(RetentionViolation):
            urllib.request.urlopen(f"http://{host}/")
    assert asked == []


def test_urllib_names_the_refusal_as_it_is(content: str, scene: Scene) -> None:
    """No `URLError` around it; redirects are requests of their own."""
    with scene.exchange(upstreams=[scene.upstream.name]):
        with pytest.raises(RetentionViolation) as caught:
            urllib.request.urlopen(scene.evil.url, content.encode())
        assert not isinstance(caught.value, urllib.error.URLError)
        with urllib.request.urlopen(scene.upstream.url, content.encode()) as response:
            assert response.status == 200
        scene.upstream.redirect = scene.evil.url + "/" + content.replace(" ", "%20")
        with pytest.raises(RetentionViolation):
            urllib.request.urlopen(scene.upstream.url)
    assert scene.evil.requests == []


def test_a_forward_proxy_has_to_be_named(content: str, scene: Scene) -> None:
    """Urllib's proxies read what passes in cleartext."""
    handler = urllib.request.ProxyHandler({"http": scene.upstream.url})
    opener = urllib.request.build_opener(handler)
    for names, passes in (
        (["http://vllm.test"], False),
        (["http://vllm.test", scene.upstream.name], True),
    ):
        with scene.exchange(upstreams=names):
            if passes:
                opener.open("http://vllm.test/", content.encode()).close()
            else:
                with pytest.raises(RetentionViolation):
                    opener.open("http://vllm.test/", content.encode())
    assert [noted.path for noted in scene.upstream.requests] == ["http://vllm.test/"]


def test_tls_must_be_verified(
    content: str, secure: Any, trusting: ssl.SSLContext, resolved: None, scene: Scene
) -> None:
    """A context that checks nothing, or no names, is as good as none."""
    lax = ssl.create_default_context()
    lax.check_hostname = False
    blind = ssl._create_unverified_context()  # noqa: S323 - what must be refused
    with scene.exchange(upstreams=["llm.test"]):
        client = http.client.HTTPSConnection("llm.test", secure.port, context=trusting)
        ask(client, body=content)
        client.close()
        for context in (lax, blind):
            with pytest.raises(RetentionViolation, match="without TLS"):
                ask(http.client.HTTPSConnection("llm.test", secure.port, context=context))
        with pytest.raises(RetentionViolation, match="without TLS"):
            ask(http.client.HTTPConnection("llm.test", secure.port), body=content)
    assert len(secure.requests) == 1
    assert scene.counted.counts() == {"cleartext.refused": 3}


def test_report_mode_passes_everything(content: str, scene: Scene) -> None:
    """Where only reports are asked for, every way passes unchanged."""
    with scene.exchange(upstreams=[], enforce=False):
        for way in WAYS.values():
            client = http.client.HTTPConnection(scene.evil.name)
            ask(client, **way(content))
            client.close()
    assert len(scene.evil.requests) == len(WAYS)
    assert scene.counted.counts() == {"upstream.reported": len(WAYS)}


def test_it_leaves_no_trace() -> None:
    """After the last uninstall the classes are as they were."""
    network.uninstall()
    for owner, name in (
        (http.client.HTTPConnection, "endheaders"),
        (http.client.HTTPConnection, "send"),
        (http.client.HTTPConnection, "getresponse"),
        (urllib.request.AbstractHTTPHandler, "do_open"),
    ):
        assert not hasattr(getattr(owner, name), "__wrapped__")
    network.install()
