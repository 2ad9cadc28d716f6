"""Stores: the decision about one write, without any client."""

from __future__ import annotations

import datetime as dt
import uuid
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroret.content.destinations import Store, Stores
from zeroret.content.flight import Flight
from zeroret.errors import RetentionViolation
from zeroret.guards import sql, stores
from zeroret.guards.texts import DEEPEST, MOST, TooMuchError, gathered

Within = Callable[..., AbstractContextManager[Flight]]
SECRET = "the words of a prompt that nobody else would say"
CACHE = Store("redis", "cache", 6379, "0")


def cache() -> Store:
    """Return a store."""
    return CACHE


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        SECRET.encode(),
        memoryview(SECRET.encode()),
        [SECRET],
        {"a": {"b": (SECRET,)}},
        {SECRET: 1},
        {SECRET},
        zlib.compress(SECRET.encode()),
        int.from_bytes(SECRET.encode()),
        int.from_bytes(SECRET.encode(), "little"),
        SECRET.encode().hex(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_content_in_any_shape_is_not_stored(value: Any, within: Within) -> None:
    """Unless the store is one that is allowed."""
    with within(SECRET.encode()), pytest.raises(RetentionViolation):
        stores.judge(cache, "SET", "key", value)
    with within(SECRET.encode(), stores=Stores.of(["redis://cache"])):
        stores.judge(cache, "SET", "key", value)
    with within(b"other words", stores=None):
        stores.judge(cache, "SET", "key", value)


def test_too_much_to_read_is_not_stored(within: Within) -> None:
    """Too large, too many, too deep, or unpacking to more."""
    deep: Any = 1
    for _ in range(DEEPEST + 2):
        deep = [deep]
    with within(SECRET.encode()):
        for value in (bytes(2**20 + 1), [1] * (MOST + 1), deep, zlib.compress(bytes(2**24))):
            with pytest.raises(RetentionViolation):
                stores.judge(cache, value)


def test_what_holds_no_text_is_left_aside() -> None:
    """Short numbers, flags and dates say nothing; an id, a long number and an unknown thing do."""
    now = dt.datetime.now(dt.UTC)
    assert gathered(None, True, 7, 1.5, now, now.date(), now.time(), now - now) == []
    number = uuid.uuid4()
    assert gathered(number, Decimal("1.50"), 4111111111111111) == [
        str(number).encode(),
        b"1.50",
        b"4111111111111111",
    ]


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.binary() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_value_is_read_or_too_much(value: Any) -> None:
    """Nothing that a client may be given makes reading fail in another way."""
    try:
        found = gathered(value)
    except TooMuchError:
        return
    assert all(isinstance(text, bytes) for text in found)


READS = (
    "SELECT 1",
    "  ( select * from a)",
    "-- a comment\nSELECT 1",
    "/* a comment */ SELECT 1",
    "SELECT * FROM a WHERE b = 'insert into it'",
    'SELECT "update" FROM a',
    "SELECT `delete` FROM a",
    "SELECT a FROM b FOR UPDATE",
    "SELECT a FROM b FOR NO KEY UPDATE",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "SHOW TABLES",
    "EXPLAIN SELECT 1",
    "BEGIN",
    "PRAGMA user_version",
)
WRITES = (
    "INSERT INTO a VALUES (1)",
    "update a set b = 1",
    "SELECT * INTO a FROM b",
    "WITH a AS (DELETE FROM b RETURNING *) SELECT * FROM a",
    "EXPLAIN ANALYZE INSERT INTO a VALUES (1)",
    "SELECT 1; DROP TABLE a",
    "CALL p(1)",
    "SELECT pg_notify('a', 'b')",
    "SELECT lo_put(1, 2, 'a')",
    "SELECT 'it\\'s'; INSERT INTO a VALUES ('b')",
    "SELECT 1 -- '\n; INSERT INTO a VALUES ('b')",
    "SELECT $$'$$; INSERT INTO a VALUES ('b')",
    "COPY a FROM STDIN",
    "SET a = 'b'",
    "",
)


@pytest.mark.parametrize("statement", READS)
def test_reads_are_known(statement: str) -> None:
    """What only reads need not be looked at."""
    assert sql.is_read(statement)


@pytest.mark.parametrize("statement", WRITES)
def test_everything_else_is_looked_at(statement: str) -> None:
    """In doubt a statement writes."""
    assert not sql.is_read(statement)


def test_hostile_statements_cost_one_pass() -> None:
    """No statement makes the patterns go back and forth."""
    for text in ("(" * 200_000, "/*" * 100_000, "-- " * 60_000, "'" * 100_001, "SELECT '" * 30_000):
        sql.is_read(text)
        sql.spoken(text)


def test_a_statement_without_texts_passes_when_content_is_gone(within: Within) -> None:
    """What could hold sixteen bytes of it may not be written any more; the rest may."""
    with within(SECRET.encode()) as flight:
        flight.drop()
        stores.judge_statement(cache, "UPDATE a SET b = now() WHERE id = %s", (7,))
        for statement, values in (
            ("UPDATE a SET b = %s", ("words of which nobody knows",)),
            ("UPDATE a SET b = 'words of which nobody knows'", ()),
            ("UPDATE a SET b = 1 -- words of which nobody knows", ()),
            (b"UPDATE a SET b = $$words of which nobody knows$$", ()),
        ):
            with pytest.raises(RetentionViolation):
                stores.judge_statement(cache, statement, values)


def test_an_error_in_finding_the_store_refuses(within: Within) -> None:
    """What cannot be told where it goes does not go."""

    def lost() -> Store:
        raise AttributeError("secret")

    with within(b"other words"), pytest.raises(RetentionViolation) as caught:
        stores.judge(lost, "anything")
    assert "secret" not in repr(caught.value)
    with within(b"other words", enforce=False):
        stores.judge(lost, "anything")
