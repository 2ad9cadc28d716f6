"""The client of an exchange: program, major version and device as members of closed sets.

``User-Agent`` and ``X-Forwarded-For`` are text that a client wrote, so nothing of them is repeated:
a program is one of `FAMILIES`, a version is digits, a device one of `DEVICES`, an address what
`ipaddress` parses. The patterns are ua-parser's (https://github.com/ua-parser), in the extra
``zeroret[client]``; it reads the data of its own package and never the network.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from zeroret.errors import MissingExtraError

if TYPE_CHECKING:
    from ua_parser import BasicResolver

Device: TypeAlias = Literal["bot", "desktop", "mobile", "other", "tablet"]

DEVICES: Final = frozenset({"bot", "desktop", "mobile", "other", "tablet"})

OTHER: Final = "Other"
"""The family of a program outside the set; its version is not recorded."""

BOTS: Final = frozenset(
    {
        "Amazonbot", "Applebot", "AhrefsBot", "BingPreview", "Bytespider", "ClaudeBot",
        "DuckDuckBot", "FacebookBot", "GPTBot", "Googlebot", "OAI-SearchBot",
        "PerplexityBot", "SemrushBot", "YandexBot", "bingbot",
    }
)  # fmt: skip

BROWSERS: Final = frozenset(
    {
        "Brave", "Chrome", "Chrome Mobile", "Chrome Mobile WebView", "Chrome Mobile iOS",
        "Chromium", "DuckDuckGo Mobile", "Edge", "Edge Mobile", "Electron", "Facebook", "Firefox",
        "Firefox Mobile", "Firefox iOS", "HeadlessChrome", "IE", "Instagram", "MiuiBrowser",
        "Mobile Safari", "Mobile Safari UI/WKWebView", "Opera", "Opera Mobile", "QQ Browser",
        "Safari", "Samsung Internet", "UC Browser", "Vivaldi", "WeChat", "Yandex Browser",
    }
)  # fmt: skip

PREFIXES: Final = {
    "AnthropicBedrock/Python": "Anthropic/Python",
    "Anthropic/JS": "Anthropic/JS",
    "Anthropic/Python": "Anthropic/Python",
    "AsyncAnthropic/Python": "Anthropic/Python",
    "AsyncAnthropicBedrock/Python": "Anthropic/Python",
    "AsyncAzureOpenAI/Python": "OpenAI/Python",
    "AsyncOpenAI/Python": "OpenAI/Python",
    "AzureOpenAI/JS": "OpenAI/JS",
    "AzureOpenAI/Python": "OpenAI/Python",
    "Bun": "Bun",
    "Deno": "Deno",
    "OpenAI/Go": "OpenAI/Go",
    "OpenAI/JS": "OpenAI/JS",
    "OpenAI/Java": "OpenAI/Java",
    "OpenAI/Python": "OpenAI/Python",
    "claude-cli": "claude-cli",
    "litellm": "litellm",
    "node": "node",
    "node-fetch": "node-fetch",
    "python-httpx": "Python httpx",
    "undici": "undici",
}
"""SDKs and tools that ua-parser does not know, by what exactly stands at the beginning."""

TOOLS: Final = frozenset(
    {
        "Apache-HttpClient", "Go-http-client", "HTTPie", "Java", "PostmanRuntime",
        "Python Requests", "Python aiohttp", "Python-urllib", "Wget", "axios", "curl", "got",
        "insomnia", "libwww-perl", "okhttp", "reqwest",
    }
)  # fmt: skip

FAMILIES: Final = BROWSERS | BOTS | TOOLS | frozenset(PREFIXES.values()) | {OTHER}
"""Every program that is named; ua-parser can copy words of the header, so others are `OTHER`."""

LONGEST: Final = 512
"""The most characters of a header that are read."""

MOST_REMEMBERED: Final = 1024
"""The most answers that are remembered, each under a keyed digest of the header."""

_DESKTOPS: Final = frozenset(
    {"Chrome OS", "Debian", "Fedora", "FreeBSD", "Linux", "Mac OS X", "OpenBSD", "Red Hat",
     "Ubuntu", "Windows"}
)  # fmt: skip
_PREFIX: Final = re.compile(
    r"([A-Za-z-]{1,40}(?:/[A-Za-z]{1,10})?)(?![^/\s])(?:[/ ](\d{1,4})(?![^.\s]))?", re.ASCII
)
_BOT: Final = re.compile(r"bot\b|crawler|spider", re.IGNORECASE | re.ASCII)
_VERSION: Final = re.compile(r"\d{1,4}", re.ASCII)

_key = os.urandom(16)
_answers: dict[bytes, str] = {}


def require() -> None:
    """Load the parser now; raises `MissingExtraError` when its packages are not installed."""
    _resolver()


def client_family(user_agent: object) -> str | None:
    """Return family, major version and device, such as ``Chrome 130 desktop``.

    The version is left out where there is none. None without a header. Raises
    `MissingExtraError` when the parser is not installed: call `require` early instead.
    """
    if not isinstance(user_agent, str) or not user_agent.strip():
        return None
    header = user_agent[:LONGEST]
    # the header itself is the client's text and must not outlive the exchange: ua-parser's own
    # cache is keyed by it, this one by a digest under a key that this process alone holds
    digest = hashlib.blake2b(
        header.encode("utf-8", "surrogatepass"), digest_size=16, key=_key
    ).digest()
    answer = _answers.get(digest)
    if answer is None:
        answer = _parsed(header)
        if len(_answers) >= MOST_REMEMBERED:
            _answers.clear()
        _answers[digest] = answer
    return answer


def client_address(raw: object) -> str | None:
    """Return the address in *raw*, normalised, or None when it is none.

    A trusted ``X-Forwarded-For`` can put any text there. An IPv4 address in IPv6 clothes becomes
    IPv4, an IPv6 scope (``%eth0``, also free text) is dropped.
    """
    if not isinstance(raw, str) or len(raw) > LONGEST:
        return None
    try:
        address = ip_address(raw)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or IPv6Address(int(address))  # the number has no scope
    return str(address)


@cache
def _resolver() -> BasicResolver:
    try:
        from ua_parser import BasicResolver, load_builtins

        return BasicResolver(load_builtins())
    except ImportError:
        raise MissingExtraError("recording the client's browser family", "client") from None


def _parsed(header: str) -> str:
    family, version = _by_prefix(header) or _by_patterns(header)
    shown = f"{family} {version}" if version and _VERSION.fullmatch(version) else family
    return f"{shown} {_device(header, family)}"


def _by_prefix(header: str) -> tuple[str, str | None] | None:
    found = _PREFIX.match(header)
    if found is None or (family := PREFIXES.get(found[1])) is None:
        return None
    return family, found[2]


def _by_patterns(header: str) -> tuple[str, str | None]:
    from ua_parser import Domain

    agent = _resolver()(header, Domain.USER_AGENT).user_agent
    if agent is None or agent.family not in FAMILIES:
        return OTHER, None
    return agent.family, agent.major


def _device(header: str, family: str) -> Device:
    """Return the kind of device; ua-parser's own device patterns name models, at twice the time."""
    if family in BOTS or _BOT.search(header):
        return "bot"
    if family not in BROWSERS and family != OTHER:
        return "other"
    from ua_parser import Domain

    system = _resolver()(header, Domain.OS).os
    if system is None:
        return "other"
    if system.family in {"Android", "iOS"}:
        if "iPad" in header or "Tablet" in header:
            return "tablet"
        return "mobile" if "Mobi" in header or system.family == "iOS" else "tablet"
    return "desktop" if system.family in _DESKTOPS else "other"
