"""The text of OpenAI's chat messages and deltas, and of completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts

CONTENT, REASONING, REFUSAL, TOOLS, AUDIO = range(5)
"""The kinds of text that one choice can hold."""

_DEPTH: Final = 4  # lists of content parts hold parts that hold lists (Mistral's thinking)


class Delta(msgspec.Struct):
    """``message`` or ``delta``."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class Choice(msgspec.Struct):
    """One of the answers, or a piece of it."""

    index: Any = 0
    delta: Delta | None = None
    message: Delta | None = None
    text: Any = None
    usage: msgspec.Raw = msgspec.Raw()


def read_choices(choices: list[Choice], parts: Parts) -> bool:
    """Add the text of *choices* to *parts*; False if some of what they hold is no text."""
    plain = True
    for choice in choices:
        index = choice.index if type(choice.index) is int else 0
        said = choice.delta or choice.message
        if said is not None and not _read_text(index, said, parts):
            plain = False
        if choice.text is not None:
            plain &= flat(choice.text, place(parts, index, CONTENT))
    return plain


def place(parts: Parts, index: int, kind: int) -> list[str]:
    """Return the texts of one place of *parts*, which may be new."""
    found = parts.get((index, kind))
    if found is None:
        found = parts[index, kind] = []
    return found


def flat(content: object, out: list[str], depth: int = 0) -> bool:
    """Append the text of *content* to *out*; False if some of it is no text."""
    if isinstance(content, str):
        out.append(content)
        return True
    if content is None:
        return True
    if depth > _DEPTH:
        return False
    if isinstance(content, list):
        plain = True
        for part in content:
            plain &= flat(part, out, depth + 1)
        return plain
    if isinstance(content, dict):
        for key in ("text", "thinking", "refusal"):
            if key in content:
                return flat(content[key], out, depth + 1)
    return False


def _read_text(index: int, said: Delta, parts: Parts) -> bool:
    """Add the text of one message or delta to *parts*; False if some of it is no text."""
    content = said.content
    plain = True
    if type(content) is str:
        if content:
            place(parts, index, CONTENT).append(content)
    elif content is not None:
        plain = flat(content, place(parts, index, CONTENT))
    reasoning = said.reasoning_content or said.reasoning  # servers send one, or the same twice
    if reasoning is not None:
        plain &= flat(reasoning, place(parts, index, REASONING))
    if said.refusal is not None:
        plain &= flat(said.refusal, place(parts, index, REFUSAL))
    calls = said.tool_calls or said.function_call
    if calls:
        plain = False  # the tokens that frame a call are not published
        _read_calls(calls, place(parts, index, TOOLS))
    if said.audio is not None:
        plain = False
        if isinstance(said.audio, dict):
            flat(said.audio.get("transcript"), place(parts, index, AUDIO))
    return plain


def _read_calls(value: object, out: list[str]) -> None:
    """Append function names and arguments of *value*, ``tool_calls`` or one ``function_call``."""
    for call in value if isinstance(value, list) else [{"function": value}]:
        if not isinstance(call, dict):
            continue
        function = call.get("function") or call.get("custom")
        if not isinstance(function, dict):
            continue
        for key in ("name", "arguments", "input"):
            text = function.get(key)
            if isinstance(text, str):
                out.append(text)
            elif text is not None:
                out.append(msgspec.json.encode(text).decode())
