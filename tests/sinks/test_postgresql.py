"""PostgreSQL, on a real server: what it refuses is a sentence, and its schema is versioned."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from services import postgres_url
from zeroret.errors import ConfigurationError, SinkError
from zeroret.sinks import open_sink, open_store
from zeroret.usage.layout import of_columns
from zeroret.usage.record import COLUMNS, UsageRecord

MakeRecord: TypeAlias = Callable[..., UsageRecord]


@pytest.fixture
def schema() -> Iterator[str]:
    """Give the name of a schema of the test's own."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    yield name
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def with_user(netloc: str) -> str:
    """Return the server's URL with another user and password before its address."""
    parts = urlsplit(postgres_url())
    return urlunsplit(parts._replace(netloc=netloc + parts.netloc.rpartition("@")[2]))


def test_wrong_credentials_are_a_sentence(make: MakeRecord) -> None:
    """It says what to look at, and never the password."""
    sink = open_sink(with_user("nobody-here:open-sesame@"), columns=COLUMNS)
    with pytest.raises(SinkError, match=r"check .* the user, the password") as caught:
        sink.write([make(1)])
    assert "open-sesame" not in repr(caught.value) + str(caught.value.__cause__)
    sink.close()


def test_a_missing_database_is_a_sentence(make: MakeRecord) -> None:
    """It says what is missing and what to do."""
    parts = urlsplit(postgres_url())
    sink = open_sink(urlunsplit(parts._replace(path="/not_there")), columns=COLUMNS)
    with pytest.raises(SinkError, match=r"check .* the database"):
        sink.write([make(1)])
    sink.close()


def test_a_server_that_is_away_is_a_sentence(make: MakeRecord) -> None:
    """It names the place."""
    sink = open_sink("postgresql://me:open-sesame@127.0.0.1:1/usage", columns=COLUMNS)
    with pytest.raises(SinkError, match=r"127\.0\.0\.1:1") as caught:
        sink.write([make(1)])
    assert "open-sesame" not in str(caught.value)
    sink.close()


def test_a_newer_schema_is_not_touched(schema: str, make: MakeRecord) -> None:
    """A database that a newer release has migrated is left to it, and the error says so."""
    uri = f"{postgres_url()}?zeroret_schema={schema}"
    sink = open_sink(uri, columns=COLUMNS)
    sink.write([make(1)])
    sink.close()
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        connection.execute(f"UPDATE {schema}.zeroret_schema SET version = 99")
    again = open_sink(uri, columns=COLUMNS)
    with pytest.raises(ConfigurationError, match=r"made by a newer zeroret.*upgrade"):
        again.write([make(2)])
    again.close()
    with psycopg.connect(postgres_url()) as connection:
        assert connection.execute(f"SELECT count(*) FROM {schema}.usage").fetchone() == (1,)


def test_no_statement_asks_the_server_for_the_time(
    schema: str, make: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose clock is off stores and deletes by the records' own times all the same."""
    sent: list[str] = []
    execute: Any = psycopg.Connection.execute

    def listening(connection: Any, query: Any, *args: Any, **options: Any) -> Any:
        sent.append(str(query).lower())
        return execute(connection, query, *args, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", listening)
    sink: Any = open_store(f"{postgres_url()}?zeroret_schema={schema}", of_columns(COLUMNS))
    sink.write([make(1)])
    assert sink.expire("usage", datetime(2030, 1, 1, tzinfo=UTC)) == 1
    sink.close()
    assert any("insert into usage" in each for each in sent)
    asking = ("now()", "current_date", "current_time", "clock_timestamp", "localtime")
    assert not [each for each in sent if any(word in each for word in asking)]
