"""The wire formats of LLM APIs: request and response bytes in; model, usage and text out.

One file per API family, found through the literal registry below and imported on first use. Every
reader is sans-I/O and tolerant: it never raises on what it is fed, and never changes a byte.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from zeroret.dialects.answer import BodyReader, Count, StreamReader


class Dialect:
    """One wire format: its name and the readers of its responses.

    *name* is the record's ``dialect``; *prompt* says how the request holds its prompt (``chat``,
    ``text``, ``embeddings`` or ``messages``); *reports* is True where every complete stream carries
    usage unasked.
    """

    __slots__ = ("_family", "_module", "name", "prompt", "reports")

    def __init__(self, name: str, module: str, prompt: str, *, reports: bool = False) -> None:
        self.name = name
        self.prompt = prompt
        self.reports = reports
        self._module = module
        self._family: Any = None

    def __repr__(self) -> str:
        return f"Dialect({self.name!r})"

    def body(self, count: Count | None) -> BodyReader:
        """Return a reader of one JSON response; *count* takes its text if it must be counted."""
        reader: BodyReader = self._load().Body(self.name, count)
        return reader

    def stream(self, count: Count | None, *, hold: bool) -> StreamReader:
        """Return a reader of one event stream.

        With *hold* the text is counted only if no usage came; else it is counted as it passes.
        """
        reader: StreamReader = self._load().Stream(self.name, count, hold=hold)
        return reader

    def _load(self) -> Any:
        if self._family is None:
            self._family = import_module(self._module)
        return self._family


OPENAI_CHAT: Final = Dialect("openai.chat", "zeroret.dialects.openai", "chat")
OPENAI_COMPLETIONS: Final = Dialect("openai.completions", "zeroret.dialects.openai", "text")
OPENAI_EMBEDDINGS: Final = Dialect("openai.embeddings", "zeroret.dialects.openai", "embeddings")
ANTHROPIC_MESSAGES: Final = Dialect(
    "anthropic.messages", "zeroret.dialects.anthropic", "messages", reports=True
)

DIALECTS: Final[tuple[Dialect, ...]] = (
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    ANTHROPIC_MESSAGES,
)
"""Every dialect that can be read."""

_BY_LAST_SEGMENT: Final = {
    "completions": OPENAI_COMPLETIONS,
    "embeddings": OPENAI_EMBEDDINGS,
    "messages": ANTHROPIC_MESSAGES,
}

_MESSAGE_COLLECTIONS: Final = frozenset(
    {"channels", "chats", "conversations", "rooms", "sessions", "threads"}
)
"""Parents of ``{id}/messages`` in APIs that are not Anthropic's, OpenAI's assistants first."""


def detect(path: str) -> Dialect | None:
    """Return the dialect whose endpoint *path* is, by its last segments; None for any other path.

    Prefixes (``/openai/deployments/x``) and a trailing slash are tolerated; the case is not.
    """
    if path.endswith("/chat/completions"):
        return OPENAI_CHAT
    dialect = _BY_LAST_SEGMENT.get(path[path.rfind("/") + 1 :])
    if dialect is None:
        # the common path leaves here; only a trailing slash earns a second look
        return detect(path.rstrip("/")) if path[-1:] == "/" and path.strip("/") else None
    if dialect is OPENAI_EMBEDDINGS:
        return dialect
    segments = path.split("/")
    if dialect is OPENAI_COMPLETIONS:
        return OPENAI_CHAT if segments[-2:-1] == ["chat"] else dialect
    return None if segments[-3:-2] and segments[-3] in _MESSAGE_COLLECTIONS else dialect
