"""requests: a refusal is no `ConnectionError`, and nothing of the request is in it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from scenes import Scene
from zeroret.errors import RetentionViolation

pytestmark = pytest.mark.usefixtures("guarded")


WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "json": lambda content: {"json": {"q": content}},
    "form": lambda content: {"data": {"q": content}},
    "file": lambda content: {"data": io.BytesIO(content.encode())},
    "files": lambda content: {"files": {"f": (content, b"x")}},
    "pieces": lambda content: {"data": (content[at : at + 7].encode() for at in range(0, 90, 7))},
    "query": lambda content: {"params": {"q": content}},
    "header": lambda content: {"headers": {"X-Note": content}},
    "cookie": lambda content: {"cookies": {"note": content.replace(" ", "_")}},
}


@pytest.mark.parametrize("way", WAYS)
def test_content_stays(way: str, content: str, scene: Scene) -> None:
    """Pooled sessions are judged request by request; the upstream gets it all."""
    with scene.exchange(upstreams=[scene.upstream.name]), requests.Session() as session:
        session.post(scene.evil.url, data="words of the program's own")
        with pytest.raises(RetentionViolation) as caught:
            session.post(scene.evil.url, **WAYS[way](content))
        session.post(scene.upstream.url, **WAYS[way](content))
    assert not isinstance(caught.value, requests.RequestException)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert not hasattr(caught.value, "request")
    assert len(scene.evil.requests) == len(scene.upstream.requests) == 1
    assert scene.counted.counts() == {"upstream.refused": 1}


def test_each_hop_of_a_redirect_is_a_request(content: str, scene: Scene) -> None:
    """An upstream cannot hand content on to another host."""
    scene.upstream.redirect = scene.evil.url
    with scene.exchange(upstreams=[scene.upstream.name]), pytest.raises(RetentionViolation):
        requests.post(scene.upstream.url, data=content, timeout=5)
    assert scene.evil.requests == []


def test_tls_must_be_verified(
    content: str, secure: Any, resolved: None, certificate: Path, scene: Scene
) -> None:
    """``verify=False`` is refused, a verified connection passes."""
    url = f"https://llm.test:{secure.port}/"
    with scene.exchange(upstreams=["llm.test"]):
        requests.post(url, data=content, verify=str(certificate), timeout=5)
        with pytest.raises(RetentionViolation, match="without TLS"):
            requests.post(url, data=content, verify=False, timeout=5)  # noqa: S501 - what must be refused
    assert len(secure.requests) == 1
