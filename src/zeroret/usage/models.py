"""The closed set of model names: what a usage record may show of the name a client chose.

The ``model`` of a request is text that the client wrote, so only a name that is known beforehand
is recorded; anything else is ``other``. The catalogue ``models.txt`` is made by
``scripts/update-models``.
"""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from zeroret.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

OTHER: Final = "other"
"""What is recorded of a name outside the set."""

LONGEST: Final = 128
"""The most characters a name may have."""

MOST_REMEMBERED: Final = 4096
"""The most derived names, such as dated ones, that are remembered; all of them are known names."""

MOST_LEARNED: Final = 512
"""The most names learned from upstreams."""

PROVIDERS: Final = frozenset(
    {
        "ai21", "anthropic", "anyscale", "azure", "azure_ai", "bedrock", "cerebras", "cloudflare",
        "cohere", "databricks", "deepinfra", "deepseek", "fireworks", "fireworks_ai", "gemini",
        "github", "github_copilot", "google", "groq", "huggingface", "hyperbolic", "litellm_proxy",
        "lm_studio", "meta", "meta-llama", "minimax", "mistral", "mistralai", "models", "moonshot",
        "moonshotai", "nebius", "novita", "nvidia", "nvidia_nim", "ollama", "openai", "openrouter",
        "perplexity", "qwen", "replicate", "sambanova", "together", "together_ai", "vertex_ai",
        "vllm", "voyage", "voyageai", "x-ai", "xai", "z-ai", "zai",
    }
)  # fmt: skip
"""What may stand before a slash and a known name; routers and SDKs write these."""

FIRST_YEAR: Final = 2020
LAST_YEAR: Final = 2039

REGIONS: Final = frozenset({"apac", "au", "ca", "eu", "global", "in", "jp", "us", "us-gov"})
"""What may stand before a point and a known name: where Amazon Bedrock infers."""

_SIZE: Final = (
    r"\d{1,3}(?:\.\d)?[bm](?:-(?:instruct|chat|text|base|code|it))?"
    r"(?:-(?:q[2-8]_(?:[01]|K(?:_[SML])?)|fp16))?"
)
"""A tag of Ollama's: how many parameters, which kind, how quantised."""

_SUFFIX: Final = re.compile(
    r"(?P<base>.+?)(?:[-:]latest|:" + _SIZE + r"|[-@](?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})"
    r"|-(?P<yd>\d{4})-(?P<md>\d{2})-(?P<dd>\d{2}))",
    re.ASCII,
)
_RESOURCE: Final = re.compile(
    r"arn:aws[a-z-]{0,12}:bedrock:[a-z0-9-]{0,24}:\d{0,12}:"
    r"(?:foundation-model|inference-profile)/(?P<id>.+)",
    re.ASCII,
)
"""The address of a model at Amazon that ends in its public name, not in one of the account's."""

_LEARNABLE: Final = re.compile(r"[A-Za-z0-9@][A-Za-z0-9._:/@+-]{0,127}", re.ASCII)


@cache
def catalogue() -> frozenset[str]:
    """Return the names of ``models.txt``, read on first use."""
    text = files("zeroret.usage").joinpath("models.txt").read_text(encoding="ascii")
    return frozenset(text.split())


class ModelNames:
    """The names one runtime may record: the catalogue, those configured, those learned.

    Raises `ConfigurationError` for a configured name that is empty, too long, or not text.
    """

    __slots__ = ("_configured", "_learned", "_names", "_remembered")

    def __init__(self, configured: Iterable[str] | None = None) -> None:
        self._configured = _checked(configured)
        self._names: dict[str, str] | None = None
        self._remembered: dict[str, str] = {}
        self._learned: dict[str, str] = {}

    def load(self) -> None:
        """Read the catalogue now, so that no exchange waits for it."""
        self._names = {name: name for name in (*catalogue(), *self._configured)}

    @property
    def names(self) -> frozenset[str]:
        """The catalogued and configured names, without those learned or derived."""
        return catalogue().union(self._configured)

    def known(self, name: object) -> str | None:
        """Return *name* as it may be recorded: itself if known, else ``other``.

        None for None, for the empty string and for what is not a string. A known name may carry
        a known provider (``openrouter/…``) or a region of Bedrock's (``us.…``) before it, and after
        it ``-latest``, a date (``-2024-08-06``, ``-20240806``, ``@20240806``) or a size of Ollama's
        (``:70b``). A fine-tune shows its base alone, a public model's ARN that model.
        """
        if not isinstance(name, str) or not name:
            return None
        if self._names is None:
            self.load()
        found = self._remembered.get(name) or self._exact(name)
        if found is not None:
            return found
        if len(name) > LONGEST:
            return OTHER
        # an own copy: a subclass of str could say one thing here and another when it is written
        return self._derived(str.__str__(name))

    def learn(self, name: object) -> str | None:
        """Take up *name*, for which a named upstream answered with usage; return `known` of it.

        At most `MOST_LEARNED` names are learned, and only such as look like a model's name.
        """
        found = self.known(name)
        if found != OTHER or not isinstance(name, str) or len(self._learned) >= MOST_LEARNED:
            return found
        if _LEARNABLE.fullmatch(name) is None:
            return OTHER
        name = str.__str__(name)
        return self._learned.setdefault(name, name)

    def _exact(self, name: str) -> str | None:
        names = self._names or {}
        return names.get(name) or self._learned.get(name)

    def _derived(self, name: str) -> str:
        """Return *name*, the base of a fine-tune, or ``other``; remember only what is known."""
        if name.startswith("ft:"):
            base = name[3:].partition(":")[0]
            return f"ft:{base}" if self._formed(base) else OTHER
        addressed = _RESOURCE.fullmatch(name)
        if addressed is not None:
            return addressed["id"] if self._formed(addressed["id"]) else OTHER
        if not self._formed(name):
            return OTHER
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[name] = name
        return name

    def _formed(self, name: str) -> bool:
        """Whether *name* is [provider/[provider/]][region.]known[suffix]."""
        for _ in range(3):
            region, _point, rest = name.partition(".")
            for each in (name, rest if region in REGIONS else name):
                if self._exact(each) is not None or self._suffixed(each):
                    return True
            provider, slash, name = name.partition("/")
            if not slash or provider not in PROVIDERS:
                return False
        return False

    def _suffixed(self, name: str) -> bool:
        found = _SUFFIX.fullmatch(name)
        if found is None or self._exact(found["base"]) is None:
            return False
        year = found["y"] or found["yd"]
        if year is None:
            return True
        return _plausible(int(year), int(found["m"] or found["md"]), int(found["d"] or found["dd"]))


def _plausible(year: int, month: int, day: int) -> bool:
    """Whether this is a day on which a model may have been published."""
    try:
        return FIRST_YEAR <= date(year, month, day).year <= LAST_YEAR
    except ValueError:
        return False


def _checked(configured: Iterable[str] | None) -> tuple[str, ...]:
    """Return the configured names; a single string is a mistake, not its letters."""
    if isinstance(configured, str):
        raise ConfigurationError(f"models: given the text {configured!r}; allowed: a list of names")
    names = tuple(configured or ())
    for place, name in enumerate(names):
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST or not name.isprintable():
            raise ConfigurationError(
                f"models[{place}]: allowed: printable text of 1 to {LONGEST} characters"
            )
    return names
