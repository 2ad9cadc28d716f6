"""Prompts as the APIs frame them."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroret.tokens import TokenCounter
from zeroret.tokens.framing import (
    FORMS,
    PromptCount,
    count_chat,
    count_embeddings,
    count_messages,
    count_responses,
    count_text,
)

COUNTER: Final = TokenCounter()

COOKBOOK: Final[list[dict[str, Any]]] = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate "
        "jargon into plain English.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "New synergies will help drive top-line growth.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities "
        "for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client "
        "deliverable.",
    },
]
"""The example of OpenAI's Cookbook; the API itself says 129 tokens for gpt-4-0613."""


def tokens(text: str, model: str = "gpt-4o") -> int:
    """Count a text by itself."""
    return COUNTER.count(text, model=model)


def chat(messages: object, **more: object) -> PromptCount:
    """Count a chat request to gpt-4o."""
    return count_chat({"messages": messages, **more}, COUNTER, "gpt-4o")


def test_the_cookbooks_example() -> None:
    """The published example counts as the API counted it."""
    expected = PromptCount(tokens=129, exact=True, images=0)
    assert count_chat({"messages": COOKBOOK}, COUNTER, "gpt-4-0613") == expected


def test_text_parts_count_as_text() -> None:
    """Content given as text parts is counted exactly, part by part."""
    parts = [{"type": "text", "text": "hello"}, {"type": "text", "text": " world"}]
    count = chat([{"role": "user", "content": parts}])
    assert count == PromptCount(
        3 + tokens("user") + tokens("hello") + tokens(" world") + 3, True, 0
    )


def test_another_vendors_model_is_an_estimate() -> None:
    """The frame and vocabulary of another vendor are not known."""
    assert not count_chat({"messages": COOKBOOK}, COUNTER, "claude-sonnet-4-5").exact


def test_images_are_counted_apart() -> None:
    """Images add to images, not to tokens, and make an estimate; so do audio and files."""
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_data": "AAAA"}},
    ]
    count = chat([{"role": "user", "content": parts}])
    assert count == PromptCount(3 + tokens("user") + tokens("look") + 3, False, 1)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 200])
def test_tools_count_as_their_json(size: int) -> None:
    """Tools add their compact JSON and 9, as an estimate; however many there are."""
    tools = [
        {"type": "function", "function": {"name": f"get_{i}", "parameters": {"type": "object"}}}
        for i in range(size)
    ]
    count = chat([], tools=tools)
    rendered = tokens(json.dumps(tools, separators=(",", ":")))
    assert count == PromptCount(3 + 9 + rendered, False, 0)


def test_tool_calls_and_results_are_estimates() -> None:
    """A message that repeats a tool call counts its name and arguments."""
    call = {"id": "x", "type": "function", "function": {"name": "get", "arguments": '{"a":1}'}}
    count = chat([{"role": "assistant", "content": None, "tool_calls": [call]}])
    expected = 3 + tokens("assistant") + tokens("get") + tokens('{"a":1}') + 3
    assert count == PromptCount(expected, False, 0)
    old = chat([{"role": "assistant", "function_call": {"name": "get", "arguments": '{"a":1}'}}])
    assert old == count
    assert not chat([{"role": "tool", "content": "ok", "tool_call_id": "x"}]).exact


def test_a_response_schema_is_an_estimate() -> None:
    """The schema of a structured answer is part of the prompt, by a rule nobody published."""
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    count = chat(COOKBOOK, response_format=schema)
    assert count.tokens == chat(COOKBOOK).tokens + tokens(json.dumps(schema, separators=(",", ":")))
    assert not count.exact
    assert chat(COOKBOOK, response_format={"type": "text"}) == chat(COOKBOOK)


@pytest.mark.parametrize(("count", "key"), [(count_text, "prompt"), (count_embeddings, "input")])
def test_plain_prompts(count: Any, key: str) -> None:
    """Texts and token ids, alone or in lists, are exact and have no frame."""

    def of(value: object, model: str = "gpt-4o") -> PromptCount:
        result = count({key: value}, COUNTER, model)
        assert isinstance(result, PromptCount)
        return result

    text = tokens("hello world, 12345")
    assert of("hello world, 12345") == PromptCount(text, True, 0)
    assert of(["hello world, 12345", "x"]) == PromptCount(text + 1, True, 0)
    assert of([1, 2, 3]) == PromptCount(3, True, 0)
    assert of([[1, 2, 3], [4]]) == PromptCount(4, True, 0)
    assert of([1, 2, 3], "claude-x") == PromptCount(3, True, 0)
    assert of("x", "claude-x") == PromptCount(1, False, 0)
    assert of([]) == PromptCount(0, True, 0)
    assert of([True, 1.5, None, {}, ["a"]]) == PromptCount(0, False, 0)
    assert of(None) == PromptCount(0, False, 0)
    assert of(7) == PromptCount(0, False, 0)


def test_a_suffix_is_an_estimate() -> None:
    """Text after the gap is counted, but its markers are not known."""
    count = count_text({"prompt": "a", "suffix": "b"}, COUNTER, "gpt-4o")
    assert count == PromptCount(2, False, 0)


def test_messages_of_anthropic() -> None:
    """All texts of a messages request are counted, in system, blocks, tools; images apart."""
    request = {
        "system": [{"type": "text", "text": "be brief"}],
        "messages": [
            {"role": "user", "content": "hello"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "A" * 400},
                    {"type": "tool_use", "id": "t", "name": "get", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "content": [{"type": "text", "text": "one"}, {"type": "image"}],
                    },
                    {"type": "document", "source": {"type": "text", "data": "two"}},
                    {"type": "image", "source": {"type": "base64", "data": "AAAA"}},
                ],
            },
        ],
        "tools": [{"name": "get", "input_schema": {"type": "object"}}],
    }
    texts = ["be brief", "user", "hello", "assistant", "hm", "get", '{"a":1}', "user", "one", "two"]
    texts.append('[{"name":"get","input_schema":{"type":"object"}}]')
    expected = sum(map(tokens, texts)) + 4 * 3 + 3 + 9
    assert count_messages(request, COUNTER, None) == PromptCount(expected, False, 2)
    plain = {"system": "be brief", "messages": [{"role": "user", "content": "hello"}]}
    assert count_messages(plain, COUNTER, None).tokens == 4 + 3 * 3


KEYS: Final = (
    *("messages", "role", "content", "name", "type", "text", "image", "source", "data", "tools"),
    *("functions", "input", "prompt", "system", "tool_calls", "function_call", "function"),
    *("arguments", "suffix", "response_format", "json_schema", "refusal", "custom"),
)

JUNK: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner | st.sampled_from(["text", "image", "image_url", "json_schema", "content"]),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(deadline=None, max_examples=150)
@given(JUNK)
def test_no_request_is_an_error(request: Any) -> None:
    """Whatever JSON somebody sends, a count comes out of every form."""
    for count in FORMS.values():
        for body in (request, {"messages": request, "prompt": request, "input": request}):
            result = count(body, COUNTER, "gpt-4o")
            assert result.tokens >= 0
            assert result.images >= 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", ["content", "tools", "input", "prompt", "messages", "system"])
def test_deep_nesting_is_bounded(form: str, key: str) -> None:
    """Lists and blocks inside each other, deeper than Python could follow, are no error."""
    nested: Any = "x"
    for _ in range(20_000):
        nested = [{"type": "tool_result", "content": nested}]
    lists: Any = []
    for _ in range(20_000):
        lists = [lists]
    for value in (nested, lists):
        for body in ({key: value}, {"messages": [{"role": "user", key: value}]}):
            assert not FORMS[form](body, COUNTER, "gpt-4o").exact
        # taken apart by hand: the interpreter itself would recurse
        while isinstance(value, list) and value:
            inner = value.pop()
            value = inner.pop("content") if isinstance(inner, dict) else inner  # noqa: PLW2901 - as said


def test_what_cannot_be_rendered_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that has no JSON form leaves an estimate without it."""
    assert chat([], tools=[object()]) == PromptCount(3 + 9 + tokens("[]"), False, 0)
    assert chat([], tools={1, 2}).exact is False

    def fail(_: object) -> bytes:
        raise msgspec.ValidationError

    monkeypatch.setattr(msgspec.json, "encode", fail)
    assert chat([], tools={"a": 1}) == PromptCount(3 + 9, False, 0)


def test_a_count_shows_numbers_only() -> None:
    """The result holds no text."""
    assert repr(chat(COOKBOOK)) == "PromptCount(tokens=124, exact=True, images=0)"


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4o", 8), ("gpt-5-nano", 7), ("o3-mini", 7)])
def test_a_model_that_reasons_frames_its_reply_otherwise(model: str, tokens: int) -> None:
    """Recorded traffic shows one token less for them, which no one published: an estimate."""
    request = {"messages": [{"role": "user", "content": "hello"}]}
    counted = count_chat(request, TokenCounter(), model)
    assert counted.tokens == tokens
    assert counted.exact is (model == "gpt-4o")


def test_a_responses_request_is_counted_as_a_chat() -> None:
    """A text as input, instructions and messages have chat's frame; the count is an estimate."""
    counter = TokenCounter()
    question = "What is 2 + 2?"
    one = count_responses({"input": question}, counter, "gpt-4o")
    assert (one.tokens, one.exact) == (15, False)
    message = {"role": "user", "content": [{"type": "input_text", "text": question}]}
    assert count_responses({"input": [message]}, counter, "gpt-4o") == one
    told = count_responses({"input": question, "instructions": "Be brief."}, counter, "gpt-4o")
    assert told.tokens == one.tokens + 4 + counter.count("Be brief.", model="gpt-4o")
    odd: list[Any] = [[], {}, {"input": 7}, {"input": [7, {"content": 7}]}, {"tools": [{}]}]
    for request in odd:
        assert count_responses(request, counter, "gpt-4o").tokens >= 3
