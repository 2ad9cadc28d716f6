"""The client of an exchange: closed sets out of free text."""

from __future__ import annotations

import re
import subprocess
import sys
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zeroret.usage import client
from zeroret.usage.client import DEVICES, FAMILIES, PREFIXES, client_address, client_family

SHAPE = re.compile(
    rf"(?:{'|'.join(map(re.escape, sorted(FAMILIES)))})(?: [0-9]{{1,4}})? (?:{'|'.join(DEVICES)})"
)
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
IOS = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5"


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/130.0.0.0 Safari/537.36",
         "Chrome 130 desktop"),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/130.0.0.0 Safari/537.36 Edg/131.0.0.0",
         "Edge 131 desktop"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {IOS} Safari/605.1.15",
         "Safari 17 desktop"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
         "Firefox 132 desktop"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/130.0.0.0 Safari/537.36",
         "Chrome 130 desktop"),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {IOS} Mobile/15E148 Safari/604.1",
         "Mobile Safari 17 mobile"),
        (f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {IOS} Mobile/15E148 Safari/604.1",
         "Mobile Safari 17 tablet"),
        (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {WEBKIT} Chrome/130.0.0.0 Mobile Safari/537.36",
         "Chrome Mobile 130 mobile"),
        (f"Mozilla/5.0 (Linux; Android 14; SM-X710) {WEBKIT} Chrome/130.0.0.0 Safari/537.36",
         "Chrome 130 tablet"),
        ("Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0",
         "Firefox Mobile 132 mobile"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
         "Googlebot 2 bot"),
        ("ClaudeBot/1.0", "ClaudeBot 1 bot"),
        ("curl/8.4.0", "curl 8 other"),
        ("python-requests/2.31.0", "Python Requests 2 other"),
        ("python-httpx/0.27.0", "Python httpx 0 other"),
        ("Python/3.11 aiohttp/3.9.1", "Python aiohttp 3 other"),
        ("okhttp/4.12.0", "okhttp 4 other"),
        ("axios/1.6.0", "axios 1 other"),
        ("OpenAI/Python 1.2.3", "OpenAI/Python 1 other"),
        ("AsyncOpenAI/Python 3.54.0", "OpenAI/Python 3 other"),
        ("OpenAI/JS 4.0.0", "OpenAI/JS 4 other"),
        ("Anthropic/Python 0.60.0", "Anthropic/Python 0 other"),
        ("AsyncAnthropic/Python", "Anthropic/Python other"),
        ("node", "node other"),
        ("OpenAI/Python 123456.1", "OpenAI/Python other"),
        ("OpenAI/Python 1secret", "OpenAI/Python other"),
        ("OpenAI/Pythonista 1.0", "Other other"),
        ("node.secret/1.0", "Other other"),
        ("my name is Bob", "Other other"),
        ("Bobs-secret-Bot/1.0", "Other bot"),
        ("x" * 100_000, "Other other"),
        ("\ud800", "Other other"),
    ],
)  # fmt: skip
def test_known_clients_are_named(header: str, answer: str) -> None:
    """Family, major version and device come from closed sets, the second time as the first."""
    assert client_family(header) == answer
    assert client_family(header) == answer


@pytest.mark.parametrize("header", [None, "", "  ", b"curl/8", 3])
def test_no_header_is_no_client(header: object) -> None:
    """Without a header there is no client to name."""
    assert client_family(header) is None


WORDS = st.sampled_from(
    ["Mozilla/5.0", "(", ")", "; ", " ", "/", "iPhone", "Android 14", "Windows NT 10.0", "Mobile",
     "Chrome/", "Version/", "Safari/537", "Firefox/", "bot", "compatible; ", "+http://", "1234",
     "12345", "١٢", *PREFIXES]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.one_of(WORDS, st.text(max_size=4))).map("".join)))
@example("Chrome/12345678.0")
@example("SecretApp/1.0 CFNetwork/1.0 Darwin/1.0")
@example("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) SecretApp/1.0")
def test_nothing_of_a_header_is_repeated(header: str) -> None:
    """For any header the answer is nothing or made of the closed sets and at most four digits."""
    answer = client_family(header)
    if answer is None:
        assert not header.strip()
    else:
        assert SHAPE.fullmatch(answer)


def test_families_that_copy_the_header_are_other() -> None:
    """ua-parser answers some headers with their own words; these are not recorded."""
    from ua_parser import Domain

    header = "PRTG Network Monitor/1.0 Darwin/1.0 SecretBot/3.0"
    agent = client._resolver()(header, Domain.USER_AGENT).user_agent
    assert agent is not None
    assert "Secret" in agent.family
    assert client_family(header) == "Other bot"


def test_no_header_stays_behind() -> None:
    """What is remembered holds no text of a header, and is bounded."""
    for number in range(client.MOST_REMEMBERED + 10):
        client_family(f"node/{number % 9} my secret {number}")
        assert len(client._answers) <= client.MOST_REMEMBERED
    assert all(len(key) == 16 for key in client._answers)
    assert all(SHAPE.fullmatch(answer) for answer in client._answers.values())


def test_the_missing_extra_is_named() -> None:
    """Without ua-parser the error says what to install; the module itself needs nothing."""
    program = (
        "import sys\n"
        "sys.modules['ua_parser'] = None\n"
        "from zeroret.usage.client import client_address, require\n"
        "assert client_address('::1') == '::1'\n"
        "require()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "MissingExtraError: recording the client's browser family needs" in done.stderr
    assert "pip install 'zeroret[client]'" in done.stderr


def test_the_parser_is_there() -> None:
    """With ua-parser installed nothing is missing."""
    client.require()


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%my secret", "fe80::1"),
        ("192.0.2.1:8080", None),
        ("192.0.2.1, 192.0.2.2", None),
        ("192.0.2.1%eth0", None),
        ("192.0.2.01", None),
        ("[::1]", None),
        ("testclient", None),
        ("my secret", None),
        ("", None),
        (None, None),
        (3232235777, None),
        (b"\x7f\x00\x00\x01", None),
        ("1" * 100_000, None),
    ],
)
def test_addresses_are_parsed(raw: object, answer: str | None) -> None:
    """Only an address is an address, in its one normal form."""
    assert client_address(raw) == answer


@given(
    st.one_of(st.ip_addresses().map(str), st.text(), st.text("0123456789abcdef:.%", max_size=20))
)
def test_any_text_is_an_address_or_nothing(raw: str) -> None:
    """Whatever is given, the answer is None or parses again to itself."""
    answer = client_address(raw)
    if answer is not None:
        assert str(ip_address(answer)) == answer
