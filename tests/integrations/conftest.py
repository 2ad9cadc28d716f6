"""What the integrations' tests share: a scene, TLS, and the guards, installed for one test."""

from __future__ import annotations

import secrets
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scenes import Listener, Scene
from zeroret.guards import network, stores, violations
from zeroret.guards.violations import Violations


@pytest.fixture
def content() -> str:
    """A prompt that stands in no source: words nobody wrote before."""
    return " ".join(secrets.token_hex(5) for _ in range(8))


@pytest.fixture
def scene(content: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Exchanges, servers and a count of violations of this test's own."""
    counted = Violations()
    monkeypatch.setattr(violations, "VIOLATIONS", counted)
    made = Scene(content, counted)
    yield made
    made.stop()


@pytest.fixture
def guarded() -> Iterator[None]:
    """The network guard, installed for one test."""
    network.install()
    yield
    network.uninstall()
    assert not network.PATCHES.active


@pytest.fixture
def stored() -> Iterator[None]:
    """The guard of stores, installed for one test."""
    stores.install()
    yield
    stores.uninstall()
    assert not stores.PATCHES.active


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a self-signed certificate for localhost, its key in the same file."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl program to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    key = path.with_suffix(".key")
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(path), "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,DNS:llm.test,IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:TRUE"),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + key.read_text())
    return path


@pytest.fixture
def secure(certificate: Path, scene: Scene) -> Listener:
    """A server with TLS, whose certificate nobody trusts but who is told to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return scene.listener(context)


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the name ``llm.test`` mean this machine, which its name does not tell."""
    original = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return original("127.0.0.1" if name == "llm.test" else host, *args, **options)

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    """A client's context that trusts the certificate and checks name and certificate."""
    return ssl.create_default_context(cafile=certificate)
