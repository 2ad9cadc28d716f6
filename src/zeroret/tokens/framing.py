"""Count the prompt of a request as the API frames it: OpenAI's published rule, else an estimate.

Sans-I/O: each function takes the request's parsed JSON body, which nobody has checked, and never
raises on it. What it does not understand is left out and makes the count an estimate.

OpenAI's Cookbook, "How to count tokens with tiktoken": 3 tokens a message and those of every value,
1 more for a name, and 3 for the reply's beginning. For tools and images there is no published rule
that needs no decoding; Anthropic publishes no vocabulary. Texts go to the counter one by one and
are never joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from zeroret.tokens.models import thinks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zeroret.tokens import TokenCounter

PER_MESSAGE: Final = 3
PER_NAME: Final = 1
PER_REPLY: Final = 3
PER_THOUGHTFUL_REPLY: Final = 2
"""What models that reason take instead; measured in recorded traffic, and published nowhere."""

PER_TOOLS: Final = 9
"""What a request's tools cost beside their JSON, after litellm's port of the format."""

DEEPEST: Final = 8
"""The most levels of content inside content that are counted."""

_BATCH: Final = 64
"""How many tools are rendered at once, so that no copy of all of them is made."""

_IMAGES: Final = frozenset({"image", "image_url", "input_image"})
_PUBLISHED: Final = frozenset({"role", "content", "name"})


@dataclass(frozen=True, slots=True)
class PromptCount:
    """The tokens of a prompt; whether they are sure; how many images, not counted in, it has."""

    tokens: int
    exact: bool
    images: int


class _Tally:
    """Adds up one prompt: the tokens of its texts, those of its frame, its images."""

    __slots__ = ("_stream", "exact", "frame", "images", "per_reply")

    def __init__(self, counter: TokenCounter, model: str | None) -> None:
        self._stream = counter.stream(model=model)
        self.frame = 0
        self.images = 0
        self.exact = True
        self.per_reply = PER_THOUGHTFUL_REPLY if thinks(model) else PER_REPLY

    def text(self, text: str) -> None:
        """Count *text* as one whole."""
        self._stream.feed(text)
        self._stream.finish()

    def rendered(self, value: object) -> None:
        """Estimate *value* by its compact JSON: how a vendor shows it to the model is not known."""
        self.exact = False
        if not isinstance(value, list):
            self._stream.feed(_json(value))
        else:
            for start in range(0, len(value), _BATCH):
                self._stream.feed("," if start else "[")
                self._stream.feed(_json(value[start : start + _BATCH])[1:-1])
            self._stream.feed("]" if value else "[]")
        self._stream.finish()

    def result(self, *, worded: bool = True) -> PromptCount:
        """Return the sum; *worded* False where no vocabulary had a part in it."""
        exact = self.exact and (self._stream.exact or not worded)
        return PromptCount(self._stream.finish() + self.frame, exact, self.images)


def count_chat(request: object, counter: TokenCounter, model: str | None) -> PromptCount:
    """Count an OpenAI chat request: exact for text messages, an estimate with anything else."""
    tally = _Tally(counter, model)
    tally.exact = tally.per_reply == PER_REPLY
    body = _object(request, tally)
    for message in _array(body.get("messages"), tally):
        if isinstance(message, dict):
            _chat_message(message, tally)
        else:
            tally.exact = False
    tally.frame += tally.per_reply
    for key in ("tools", "functions"):
        _tools(body.get(key), tally)
    schema = body.get("response_format")
    if isinstance(schema, dict) and schema.get("type") == "json_schema":
        tally.rendered(schema)
    return tally.result()


def count_text(request: object, counter: TokenCounter, model: str | None) -> PromptCount:
    """Count a completions request: a text, texts, token ids, or lists of these; exact."""
    tally = _Tally(counter, model)
    body = _object(request, tally)
    worded = _texts(body.get("prompt"), tally)
    suffix = body.get("suffix")
    if suffix:
        # the markers of fill-in-the-middle around it are not published
        tally.exact = False
        _text_or_doubt(suffix, tally)
    return tally.result(worded=worded)


def count_embeddings(request: object, counter: TokenCounter, model: str | None) -> PromptCount:
    """Count an embeddings request: a text, texts, token ids, or lists of these; exact."""
    tally = _Tally(counter, model)
    worded = _texts(_object(request, tally).get("input"), tally)
    return tally.result(worded=worded)


def count_messages(request: object, counter: TokenCounter, model: str | None) -> PromptCount:
    """Count an Anthropic messages request; always an estimate, with OpenAI's frame as stand-in."""
    tally = _Tally(counter, model)
    tally.exact = False
    body = _object(request, tally)
    system = body.get("system")
    if system:
        tally.frame += PER_MESSAGE
        _content(system, tally, DEEPEST)
    for message in _array(body.get("messages"), tally):
        if isinstance(message, dict):
            tally.frame += PER_MESSAGE
            _text_or_doubt(message.get("role"), tally)
            _content(message.get("content"), tally, DEEPEST)
    tally.frame += PER_REPLY
    _tools(body.get("tools"), tally)
    return tally.result()


def count_responses(request: object, counter: TokenCounter, model: str | None) -> PromptCount:
    """Count an OpenAI responses request; an estimate: its frame is chat's, which nobody promised.

    What an earlier response or a conversation adds is not in the request, so it is not counted.
    """
    tally = _Tally(counter, model)
    tally.exact = False
    body = _object(request, tally)
    told = body.get("instructions")
    if isinstance(told, str) and told:
        tally.text(told)
        tally.frame += PER_MESSAGE + 1  # its role, of one token, is not in the request
    given = body.get("input")
    if isinstance(given, str):
        tally.text(given)
        tally.frame += PER_MESSAGE + 1
    else:
        for item in _array(given, tally):
            _item(item, tally)
    tally.frame += tally.per_reply
    _tools(body.get("tools"), tally)
    shape = body.get("text")
    if (
        isinstance(shape, dict)
        and isinstance(shape.get("format"), dict)
        and "schema" in shape["format"]
    ):
        tally.rendered(shape["format"])
    return tally.result()


FORMS: Final[Mapping[str, Callable[[object, TokenCounter, str | None], PromptCount]]] = {
    "chat": count_chat,
    "text": count_text,
    "embeddings": count_embeddings,
    "messages": count_messages,
    "responses": count_responses,
}
"""The counting functions by the name of the form in which a request holds its prompt."""


def _json(value: object) -> bytes:
    """Return *value* as compact JSON, or nothing if it cannot be written."""
    try:
        return msgspec.json.encode(value)
    except Exception:  # noqa: BLE001 - nesting, foreign types: left out of an estimate
        return b""


def _object(value: object, tally: _Tally) -> dict[Any, Any]:
    if isinstance(value, dict):
        return value
    tally.exact = False
    return {}


def _array(value: object, tally: _Tally) -> list[Any]:
    if isinstance(value, list):
        return value
    tally.exact = False
    return []


def _text_or_doubt(value: object, tally: _Tally) -> None:
    if isinstance(value, str):
        tally.text(value)
    else:
        tally.exact = False


def _chat_message(message: dict[Any, Any], tally: _Tally) -> None:
    """Count one chat message: its frame and every value."""
    tally.frame += PER_MESSAGE
    for key, value in message.items():
        if value is None:
            continue
        if key not in _PUBLISHED:
            tally.exact = False
        if isinstance(value, str):
            tally.text(value)
            tally.frame += PER_NAME if key == "name" else 0
        elif key == "content":
            _content(value, tally, DEEPEST)
        elif key == "tool_calls":
            for call in _array(value, tally):
                _call(call, tally)
        elif key == "function_call":
            _call({"function": value}, tally)
        else:
            tally.exact = False


def _item(item: object, tally: _Tally) -> None:
    """Count one item of a responses request: a message, a call, or the result of one."""
    if not isinstance(item, dict):
        return
    tally.frame += PER_MESSAGE
    for key in ("role", "name", "arguments", "input"):
        _text_or_doubt(item.get(key), tally)
    for key in ("content", "summary", "output"):
        if key in item:
            _content(item[key], tally, DEEPEST)


def _call(call: object, tally: _Tally) -> None:
    """Count the name and the arguments of a tool call that a message repeats."""
    tally.exact = False
    if not isinstance(call, dict):
        return
    for kind in ("function", "custom"):
        named = call.get(kind)
        if isinstance(named, dict):
            for key in ("name", "arguments", "input"):
                _text_or_doubt(named.get(key), tally)


def _content(value: object, tally: _Tally, depth: int) -> None:
    """Count content: a text, or a list of parts (OpenAI) or blocks (Anthropic)."""
    if isinstance(value, str):
        tally.text(value)
        return
    for part in _array(value, tally):
        if not isinstance(part, dict):
            _text_or_doubt(part, tally)
            tally.exact = False
        elif part.get("type") == "text":
            _text_or_doubt(part.get("text"), tally)
        else:
            tally.exact = False
            _block(part, tally, depth)


def _block(block: dict[Any, Any], tally: _Tally, depth: int) -> None:
    """Count what can be read of a part that is no text: an estimate."""
    kind = block.get("type")
    if isinstance(kind, str) and kind in _IMAGES:
        tally.images += 1
        return
    for key in ("text", "thinking", "refusal", "name", "title", "context"):
        _text_or_doubt(block.get(key), tally)
    if "input" in block:
        tally.rendered(block["input"])
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") == "text":
        _text_or_doubt(source.get("data"), tally)
    if depth:
        inner = source if isinstance(source, dict) and source.get("type") == "content" else block
        _content(inner.get("content"), tally, depth - 1)


def _tools(value: object, tally: _Tally) -> None:
    if not value:
        return
    tally.frame += PER_TOOLS
    tally.rendered(value)


def _texts(value: object, tally: _Tally) -> bool:
    """Count a text, token ids, or a list of such; return whether there was any text."""
    if isinstance(value, str):
        tally.text(value)
        return True
    worded = False
    ids = 0
    for one in _array(value, tally):
        if type(one) is int:
            ids += 1
        elif isinstance(one, str):
            tally.text(one)
            worded = True
        elif isinstance(one, list) and all(type(each) is int for each in one):
            ids += len(one)
        else:
            tally.exact = False
    tally.frame += ids
    return worded
