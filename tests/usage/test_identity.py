"""Ids and pseudonyms: unique everywhere, sorted by time, and without a byte of what they name."""

from __future__ import annotations

import hashlib
import hmac
import re
import subprocess
import sys
import threading
import time
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zeroret.usage.identity import Pseudonyms, format_id, issued_at, new_id, parse_id

# Milliseconds that a UUIDv7 can hold, short of the year 10889 where its 48 bits end.
TIMES = st.floats(min_value=0, max_value=2**48 / 1000 - 1, allow_nan=False)


@given(TIMES)
@example(0.0)
@example(time.time())
def test_an_id_is_a_uuid_of_version_7(now: float) -> None:
    """Version, variant and the 48 bits of milliseconds stand where RFC 9562, 5.7 says."""
    raw = new_id(now)
    parsed = uuid.UUID(bytes=raw)
    assert parsed.variant == uuid.RFC_4122
    assert raw[6] >> 4 == 7
    assert int.from_bytes(raw[:6], "big") == int(now * 1000)
    assert issued_at(raw) == pytest.approx(now, abs=0.001)


@given(st.binary(min_size=16, max_size=16))
def test_text_and_bytes_are_one(raw: bytes) -> None:
    """An id's text is the canonical one, and gives the same bytes back."""
    text = format_id(raw)
    assert text == str(uuid.UUID(bytes=raw))
    assert parse_id(text) == raw


@pytest.mark.parametrize("text", ["x", "0" * 31, "0" * 33, "g" * 32])
def test_what_is_no_uuid_is_refused(text: str) -> None:
    """Text that is no UUID gives no id."""
    with pytest.raises(ValueError, match=r".*"):
        uuid.UUID(bytes=parse_id(text))


def test_ids_sort_by_time() -> None:
    """As text and as bytes, the id of a later millisecond is the greater one."""
    moments = [1_700_000_000 + step / 500 for step in range(2000)]
    ids = [new_id(moment) for moment in moments]
    assert ids == sorted(ids)
    texts = [format_id(raw) for raw in ids]
    assert texts == sorted(texts)


def test_ids_of_many_threads_are_unique() -> None:
    """Threads that mint at the same millisecond share no id."""
    made: list[list[bytes]] = []

    def mint() -> None:
        made.append([new_id(1_700_000_000.0) for _ in range(20_000)])

    threads = [threading.Thread(target=mint) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [raw for batch in made for raw in batch]
    assert len(set(ids)) == 120_000


FORKING = """
import os, sys
from zeroret.usage.identity import new_id
if sys.argv[1] == "unhooked":  # as servers fork whose C code runs no hooks of Python's
    import zeroret.usage.identity as identity
    state = identity._random.getstate()
    os.register_at_fork(after_in_child=lambda: identity._random.setstate(state))
for _ in range(7):
    if os.fork() == 0:
        break
ids = b"".join(new_id(1_700_000_000.0) for _ in range(2000))
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
os.write(1, ids)
"""


@pytest.mark.parametrize("hooks", ["hooked", "unhooked"])
def test_ids_of_forked_children_are_unique(hooks: str) -> None:
    """Processes forked from one another share no id, even if no fork hook ran."""
    command = [sys.executable, "-c", FORKING, hooks]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    ids = [output[at : at + 16] for at in range(0, len(output), 16)]
    assert len(ids) == 8 * 2000
    assert len(set(ids)) == len(ids)


@given(st.binary(min_size=1, max_size=64), st.text())
@example(b"\0" * 32, "")
@example(b"pepper", "sk-\udcff")
def test_a_key_id_is_the_hmac_of_the_credential(pepper: bytes, credential: str) -> None:
    """The id is the first 160 bits of HMAC-SHA-256 under the pepper, in hex."""
    message = b"key:" + credential.encode("utf-8", "surrogatepass")
    expected = hmac.new(pepper, message, hashlib.sha256).hexdigest()[:40]
    assert Pseudonyms(pepper).key_id(credential) == expected


@given(st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z"))
def test_a_plain_account_stays_as_it_is(account: str) -> None:
    """An identifier that says nothing is kept, so that the operator can bill by it."""
    assert Pseudonyms(b"pepper").account(account) == account


@given(st.text())
@example("")
@example("ann@example.com")
@example("a" * 65)
@example("acme\n")
@example("äcme")
def test_any_other_account_is_its_hmac(account: str) -> None:
    """Addresses, names and free text become a pseudonym that fits the closed form."""
    shown = Pseudonyms(b"pepper").account(account)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", shown)
    if shown != account:
        message = b"account:" + account.encode("utf-8", "surrogatepass")
        digest = hmac.new(b"pepper", message, hashlib.sha256).hexdigest()
        assert shown == "h_" + digest[:40]


def test_keys_accounts_and_installations_are_apart() -> None:
    """One text has another pseudonym as a key, as an account and in another installation."""
    text = "ann@example.com"
    one, two = Pseudonyms(b"1" * 32), Pseudonyms(b"2" * 32)
    shown = {one.key_id(text), one.account(text)[2:], two.key_id(text), two.account(text)[2:]}
    assert len(shown) == 4
    assert "1111" not in f"{one!r}{vars(one)}"
