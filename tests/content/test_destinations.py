"""Destinations: which hosts and stores an operator's entries mean, and which entries mean none."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.content import providers
from zeroret.content.addresses import common
from zeroret.content.destinations import Store, Stores, Upstreams, known_upstreams
from zeroret.errors import ConfigurationError


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("api.openai.com", "api.openai.com"),
        ("API.OpenAI.com", "api.openai.com"),
        ("api.openai.com.", "api.openai.com"),
        ("*.openai.azure.com", "*.openai.azure.com"),
        ("llm.internal:8443", "llm.internal:8443"),
        ("https://llm.internal", "https://llm.internal:443"),
        ("https://llm.internal:8443", "https://llm.internal:8443"),
        ("http://vllm:8000", "http://vllm:8000"),
        ("HTTP://vllm", "http://vllm:80"),
        ("localhost", "localhost"),
        ("127.0.0.1:8000", "127.0.0.1:8000"),
        ("::1", "[::1]"),
        ("[FD00::1]:8000", "[fd00::1]:8000"),
        ("my_service", "my_service"),
    ],
)
def test_an_entry_has_one_common_form(entry: str, name: str) -> None:
    """Case, a root dot, and default ports of origins make no difference."""
    assert Upstreams.of([entry]).names == (name,)
    assert Upstreams.of([entry]) == Upstreams.of([name, entry])


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("https://api.openai.com/v1", "write the host alone, such as 'api.openai.com'"),
        ("https://api.openai.com/", "more than a host"),
        ("api.openai.com/v1", "more than a host"),
        ("https://user:secret@api.openai.com", "more than a host"),
        ("api.openai.com?x=1", "more than a host"),
        ("wss://api.openai.com", "its origin, such as 'https://llm.example.com:8443'"),
        ("ftp://api.openai.com", "more than a host"),
        ("//api.openai.com", "more than a host"),
        ("https://", "is empty or has blanks"),
        (" api.openai.com", "is empty or has blanks"),
        ("api.openai.com\n", "is empty or has blanks"),
        ("api.openai.c\u03bfm", "write the name as DNS has it, with xn--"),
        ("*", "is too wide"),
        ("*.com", "is too wide"),
        ("api.*.com", "is too wide"),
        ("*openai.com", "is too wide"),
        ("**.openai.com", "is too wide"),
        ("api..openai.com", "is no host name"),
        (".openai.com", "is no host name"),
        ("-api.openai.com", "is no host name"),
        ("api.openai.com..", "is no host name"),
        (("a" * 64) + ".com", "is no host name"),
        ("a." * 130 + "com", "is no host name"),
        ("host:", "has a port that is none"),
        ("host:0", "has a port that is none"),
        ("host:65536", "has a port that is none"),
        ("host:\uff18\uff10", "is not ASCII"),
        ("host:+80", "has a port that is none"),
        ("127.1", "write all four numbers"),
        ("2130706433", "write all four numbers"),
        ("[::1", "write \\[::1\\]"),
        ("[::1]8000", "write \\[::1\\]"),
        ("[vllm]:8000", "write an IPv6 address"),
        ("fe80::1%eth0", "write an IPv6 address"),
    ],
)
def test_a_bad_entry_is_refused(entry: str, sentence: str) -> None:
    """The error says what to write, and shows no password."""
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        Upstreams.of([entry])
    assert "upstreams names" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "host", "port", "grant"),
    [
        ("api.openai.com", "api.openai.com", 443, "tls"),
        ("api.openai.com", "API.openai.com.", 8443, "tls"),
        ("api.openai.com", "xapi.openai.com", 443, None),
        ("api.openai.com", "api.openai.com.evil.net", 443, None),
        ("api.openai.com", "openai.com", 443, None),
        ("api.openai.com", "api.openai.c\u03bfm", 443, None),
        ("grok.com", "gro\u212a.com", 443, None),  # a Kelvin sign: lower() makes a k of it
        ("api.openai.com:443", "api.openai.com", 8443, None),
        ("https://llm.internal", "llm.internal", 443, "tls"),
        ("https://llm.internal", "llm.internal", 80, None),
        ("http://vllm:8000", "vllm", 8000, "cleartext"),
        ("http://vllm:8000", "vllm", 8001, None),
        ("http://vllm", "vllm", 80, "cleartext"),
        ("*.openai.azure.com", "mine.openai.azure.com", 443, "tls"),
        ("*.openai.azure.com", "a.b.openai.azure.com", 443, None),
        ("*.openai.azure.com", "openai.azure.com", 443, None),
        ("*.openai.azure.com", ".openai.azure.com", 443, "tls"),  # no such name resolves
        ("localhost", "localhost", 8000, "local"),
        ("localhost", "127.9.8.7", 8000, "local"),
        ("localhost", "[::1]", 8000, "local"),
        ("localhost", "::ffff:127.0.0.1", 8000, "local"),
        ("localhost", "127.0.0.1.nip.io", 8000, None),
        ("localhost", "evil.localhost", 8000, None),
        ("localhost", "0.0.0.0", 8000, None),  # noqa: S104 - a name to tell apart, nothing binds
        ("localhost", "10.0.0.1", 8000, None),
        ("localhost:8000", "127.0.0.1", 8000, "local"),
        ("localhost:8000", "127.0.0.1", 8001, None),
        ("127.0.0.1", "127.0.0.1", 1, "local"),
        ("127.0.0.1", "localhost", 1, None),
        ("10.0.0.1", "10.0.0.1", 443, "tls"),
        ("[fd00::1]", "[fd00:0::0001]", 443, "tls"),
    ],
)
def test_what_an_entry_grants(entry: str, host: str, port: int, grant: str | None) -> None:
    """Names are compared whole, ports where they are given, and TLS is meant unless it is not."""
    assert Upstreams.of([entry]).grant(host, port) == grant


def test_the_widest_of_several_entries_counts() -> None:
    """An origin in cleartext for one port leaves the others as they are."""
    both = Upstreams.of(["vllm", "http://vllm:8000"])
    assert (both.grant("vllm", 8000), both.grant("vllm", 8443)) == ("cleartext", "tls")
    assert both.cleartext == ("http://vllm:8000",)
    assert Upstreams.of(["http://localhost:8000", "http://[::1]"]).cleartext == ()


def test_a_list_replaces_the_known_providers() -> None:
    """With a list, neither providers nor this machine are meant unless it names them."""
    assert known_upstreams().grant("api.openai.com", 443) == "tls"
    assert known_upstreams().grant("localhost", 8000) == "local"
    assert known_upstreams().grant("evil.net", 443) is None
    for entries in ([], ["llm.internal"]):
        assert Upstreams.of(entries).grant("api.openai.com", 443) is None
        assert Upstreams.of(entries).grant("localhost", 8000) is None
    assert Upstreams.of([]) != known_upstreams()


@pytest.mark.parametrize(
    "host",
    [
        "api.anthropic.com",
        "generativelanguage.googleapis.com",
        "aiplatform.googleapis.com",
        "europe-west4-aiplatform.googleapis.com",
        "northamerica-northeast1-aiplatform.googleapis.com",
        "us-aiplatform.googleapis.com",
        "bedrock-runtime.eu-central-1.amazonaws.com",
        "bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
        "mine.openai.azure.com",
    ],
)
def test_known_providers(host: str) -> None:
    """Regional hosts are known by their shape, customers' own by one label."""
    assert providers.is_known(host)
    assert not providers.is_known(host + ".evil.net")
    assert not providers.is_known("evil.net/" + host)


def test_the_table_of_providers_is_of_hosts() -> None:
    """Each known host is one that an operator may write, and is written in its common form."""
    assert Upstreams.of(providers.HOSTS).names == tuple(sorted(providers.HOSTS))


def test_hosts_of_providers_are_those_that_prices_are_known_for() -> None:
    """The table covers the providers of the briefest list of prices that has our API families."""
    data = pytest.importorskip("genai_prices.data")
    wanted = {"anthropic", "openai", "mistral", "cohere", "deepseek", "groq", "x-ai", "openrouter"}
    wanted |= {"together", "fireworks", "perplexity", "moonshotai", "cerebras", "voyageai"}
    patterns = {each.id: each.api_pattern for each in data.providers}
    for name in wanted:
        urls = [f"https://{host}/" for host in providers.HOSTS]
        assert any(re.match(patterns[name], url) for url in urls), name


@given(st.text(max_size=40))
def test_no_text_grants_itself_more_than_it_names(text: str) -> None:
    """Whatever is accepted as an entry grants nothing to a name below it or beside it."""
    try:
        upstreams = Upstreams.of([text])
    except ConfigurationError:
        return
    for other in ("evil.net", "127.0.0.1", "localhost"):
        if upstreams.grant(other, 443) is not None:
            assert common(other) in upstreams.names[0] or upstreams.names[0].startswith("localhost")


FORMS: list[tuple[str, str]] = [
    ("postgresql://db.internal:5432/app", "postgresql://db.internal:5432/app"),
    (
        "postgresql+psycopg://user:pw@DB.internal/app?sslmode=require",
        "postgresql://db.internal/app",
    ),
    ("postgres://db", "postgresql://db"),
    ("postgresql:///app", "postgresql://localhost/app"),
    ("mysql+pymysql://db/app", "mysql://db/app"),
    ("redis://cache:6379/0", "redis://cache:6379/0"),
    ("rediss://cache", "redis://cache"),
    ("unix:///run/redis.sock", "redis://localhost"),
    ("mongodb://a,b:27018,c/app", "mongodb://a,b:27018,c/app"),
    ("mongodb+srv://u:p@cluster.mongodb.net", "mongodb://cluster.mongodb.net"),
    ("amqp://guest:guest@queue//", "amqp://queue"),
    ("pyamqp://queue/vhost", "amqp://queue/vhost"),
    ("nats://[::1]:4222", "nats://[::1]:4222"),
    ("clickhouse://events", "clickhouse://events"),
    ("db.internal", "db.internal"),
    ("db.internal:5432", "db.internal:5432"),
    ("sqlite://", "sqlite:///:memory:"),
    ("sqlite:///:memory:", "sqlite:///:memory:"),
    ("memory://", "memory://localhost"),
]


@pytest.mark.parametrize(("entry", "name"), FORMS)
def test_a_store_has_one_common_form(entry: str, name: str) -> None:
    """Drivers, users, passwords and options are left aside: they decide and show nothing."""
    stores = Stores.of([entry])
    assert stores.names == (name,)
    assert "pw" not in repr(stores)
    assert Stores.of([name]) == stores


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("postgressql://db", "did you mean 'postgresql'"),
        ("db/app", "is no store's address: write its URL"),
        ("user:secret@db", "is no store's address"),
        ("redis://a b", "has blanks"),
        ("redis://*", "is too wide"),
        ("redis://cache:port", "has a port that is none"),
        ("redis://u:secret@cache:port", "has a port that is none"),
        ("1://db", "is no store's address"),
        ("sqlite://file.db", "write sqlite:///file.db"),
    ],
)
def test_a_bad_store_is_refused(entry: str, sentence: str) -> None:
    """The error says what to write, and shows no password."""
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        Stores.of([entry])
    assert "secret@" not in str(caught.value) or entry.startswith("user")


@pytest.mark.parametrize(
    ("entry", "store", "allowed"),
    [
        ("postgresql://db", Store("postgresql", "db", 5432, "app"), True),
        ("postgresql://db", Store("mysql", "db", 3306, "app"), False),
        ("postgresql://db/app", Store("postgresql", "db", 5432, "app"), True),
        ("postgresql://db/app", Store("postgresql", "db", 5432, "other"), False),
        ("postgresql://db/app", Store("postgresql", "db", 5432, None), False),
        ("postgresql://db:5433", Store("postgresql", "db", 5432, "app"), False),
        ("postgresql://localhost", Store("postgresql", "", None, "app"), True),
        ("postgresql://localhost", Store("postgresql", "127.0.0.1", 5432, "app"), True),
        ("postgresql://db", Store("postgresql", "", None, "app"), False),
        ("db", Store("redis", "DB.", 6379, "0"), True),
        ("db", Store("redis", "db2", 6379, "0"), False),
        ("mongodb://*.db.internal", Store("mongodb", "m1.db.internal", 27017, "app"), True),
        ("mongodb://a,b", Store("mongodb", "b", 27017, "app"), True),
        ("mongodb://a,b", Store("mongodb", "c", 27017, "app"), False),
        ("sqlite://", Store("sqlite", database=":memory:"), True),
        ("sqlite://", Store("sqlite", database="/var/app.db"), False),
        ("sqlite:////var/app.db", Store("sqlite", database="/var/app.db"), True),
        ("localhost", Store("sqlite", database="/var/app.db"), True),
    ],
)
def test_what_a_store_allows(entry: str, store: Store, allowed: Any) -> None:
    """Kind, host, port and database must be those that the entry names, so far as it names them."""
    assert Stores.of([entry]).allows(store) is allowed
    assert not Stores().allows(store)


def test_a_file_is_known_by_its_real_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is taken from where the process is, and links are followed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    real = os.path.realpath(tmp_path / "real.db")
    for entry in ("sqlite:///real.db", "sqlite:///link.db", f"sqlite:///{real}"):
        assert Stores.of([entry]).allows(Store("sqlite", database=real))
