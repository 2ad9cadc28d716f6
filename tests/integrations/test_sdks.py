"""The SDKs: a refusal reaches their caller at once and as it is, retries and wrapping aside."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from google import genai

from scenes import Scene
from zeroret.errors import RetentionViolation

pytestmark = pytest.mark.usefixtures("guarded")

Ask = Callable[[str, str], Any]


def openai_chat(url: str, content: str, **options: Any) -> Any:
    """Ask openai's client."""
    with openai.OpenAI(base_url=url + "/v1", api_key="k") as client:
        return client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": content}], **options
        )


def openai_stream(url: str, content: str) -> Any:
    """Ask it for a stream."""
    with openai.OpenAI(base_url=url + "/v1", api_key="k") as client:
        messages: Any = [{"role": "user", "content": content}]
        return list(client.chat.completions.create(model="m", messages=messages, stream=True))


def openai_async(url: str, content: str) -> Any:
    """Ask its async client."""

    async def ask() -> Any:
        async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="k") as client:
            messages: Any = [{"role": "user", "content": content}]
            return await client.chat.completions.create(model="m", messages=messages)

    return asyncio.run(ask())


def openai_file(url: str, content: str) -> Any:
    """Have it upload a file."""
    with openai.OpenAI(base_url=url + "/v1", api_key="k") as client:
        return client.files.create(file=("a.txt", content.encode()), purpose="user_data")


def anthropic_message(url: str, content: str) -> Any:
    """Ask anthropic's client."""
    with anthropic.Anthropic(base_url=url, api_key="k") as client:
        messages: Any = [{"role": "user", "content": content}]
        return client.messages.create(model="m", messages=messages, max_tokens=5)


def anthropic_stream(url: str, content: str) -> Any:
    """Ask it for a stream."""
    with anthropic.Anthropic(base_url=url, api_key="k") as client:
        messages: Any = [{"role": "user", "content": content}]
        with client.messages.create(
            model="m", messages=messages, max_tokens=5, stream=True
        ) as stream:
            return list(stream)


def anthropic_async(url: str, content: str) -> Any:
    """Ask its async client."""

    async def ask() -> Any:
        async with anthropic.AsyncAnthropic(base_url=url, api_key="k") as client:
            messages: Any = [{"role": "user", "content": content}]
            return await client.messages.create(model="m", messages=messages, max_tokens=5)

    return asyncio.run(ask())


def gemini(url: str, content: str) -> Any:
    """Ask google-genai's client."""
    client = genai.Client(api_key="k", http_options={"base_url": url})
    try:
        return client.models.generate_content(model="m", contents=content)
    finally:
        client.close()


def bedrock(url: str, content: str) -> Any:
    """Ask Amazon Bedrock through boto3."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=url,
            region_name="eu-central-1",
            aws_access_key_id="k",
            aws_secret_access_key="k",
            config=Config(retries={"mode": "standard", "max_attempts": 5}),
        )
    try:
        return client.converse(
            modelId="m", messages=[{"role": "user", "content": [{"text": content}]}]
        )
    finally:
        client.close()


CALLS = (openai_chat, openai_stream, openai_async, openai_file)
CALLS += (anthropic_message, anthropic_stream, anthropic_async, gemini, bedrock)  # type: ignore[assignment]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_refusal_reaches_the_caller(call: Ask, content: str, scene: Scene) -> None:
    """Once, not wrapped, with nothing of the request about it; the upstream is asked as ever."""
    with scene.exchange(upstreams=[scene.upstream.name]):
        call(scene.upstream.url, content)
        with pytest.raises(RetentionViolation) as caught:
            call(scene.evil.url, content)
    assert scene.evil.requests == []
    assert len(scene.upstream.requests) == 1
    assert content.encode() in scene.upstream.requests[0].body
    assert type(caught.value) is RetentionViolation
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert scene.counted.counts() == {"upstream.refused": 1}


STORED: dict[str, Callable[[openai.OpenAI], Any]] = {
    "chat": lambda c: c.chat.completions.create(model="m", messages=[], store=True),
    "responses": lambda c: c.responses.create(model="m", input="x"),
    "background": lambda c: c.responses.create(model="m", input="x", store=False, background=True),
    "files": lambda c: c.files.create(file=b"x", purpose="user_data"),
    "uploads": lambda c: c.uploads.create(
        bytes=1, filename="x", mime_type="text/plain", purpose="user_data"
    ),
    "batches": lambda c: c.batches.create(
        completion_window="24h", endpoint="/v1/responses", input_file_id="f"
    ),
    "vector stores": lambda c: c.vector_stores.create(name="x"),
    "fine-tuning": lambda c: c.fine_tuning.jobs.create(model="m", training_file="f"),
    "conversations": lambda c: c.conversations.create(),
    "containers": lambda c: c.containers.create(name="x"),
    "evals": lambda c: c.evals.create(data_source_config={"type": "logs"}, testing_criteria=[]),
}
TRANSIENT: dict[str, Callable[[openai.OpenAI], Any]] = {
    "chat": lambda c: c.chat.completions.create(model="m", messages=[], metadata={"a": "b"}),
    "not stored": lambda c: c.chat.completions.create(model="m", messages=[], store=False),
    "responses": lambda c: c.responses.create(model="m", input="x", store=False),
    "embeddings": lambda c: c.embeddings.create(model="m", input="x", encoding_format="float"),
    "moderations": lambda c: c.moderations.create(input="x"),
    "a list": lambda c: c.files.list(),
    "a deletion": lambda c: c.files.delete("f"),
}


@pytest.mark.parametrize("name", STORED)
def test_openai_may_not_be_asked_to_keep(name: str, scene: Scene) -> None:
    """What the upstream would keep is refused where that is forbidden, and there alone."""
    with openai.OpenAI(base_url=scene.upstream.url + "/v1", api_key="k") as client:
        with (
            scene.exchange("x", upstreams=[scene.upstream.name], upstream_storage="forbid"),
            pytest.raises(RetentionViolation, match='upstream_storage="forbid"'),
        ):
            STORED[name](client)
        assert scene.upstream.requests == []
        with scene.exchange("x", upstreams=[scene.upstream.name]):
            STORED[name](client)
    assert len(scene.upstream.requests) == 1


@pytest.mark.parametrize("name", TRANSIENT)
def test_what_openai_does_not_keep_passes(name: str, scene: Scene) -> None:
    """Metadata of a request, lists and deletions are no storage."""
    with (
        openai.OpenAI(base_url=scene.upstream.url + "/v1", api_key="k") as client,
        scene.exchange("x", upstreams=[scene.upstream.name], upstream_storage="forbid"),
    ):
        TRANSIENT[name](client)
    assert len(scene.upstream.requests) == 1


def test_anthropic_may_not_be_asked_to_keep(scene: Scene) -> None:
    """Batches and files are kept; messages, cached or not, and counting are not."""
    user: Any = [{"role": "user", "content": "x"}]
    request: Any = {"custom_id": "a", "params": {"model": "m", "max_tokens": 5, "messages": user}}
    kept: list[Callable[[anthropic.Anthropic], Any]] = [
        lambda c: c.messages.batches.create(requests=[request]),
        lambda c: c.beta.files.upload(file=("a.txt", b"x")),
        lambda c: c.beta.skills.create(files=[("a.txt", b"x")]),
    ]
    with (
        anthropic.Anthropic(base_url=scene.upstream.url, api_key="k") as client,
        scene.exchange("x", upstreams=[scene.upstream.name], upstream_storage="forbid"),
    ):
        for call in kept:
            with pytest.raises(RetentionViolation):
                call(client)
        client.messages.create(model="m", messages=user, max_tokens=5)
        client.messages.count_tokens(model="m", messages=user)
    assert [noted.path for noted in scene.upstream.requests] == [
        "/v1/messages",
        "/v1/messages/count_tokens",
    ]


def test_gemini_may_not_be_asked_to_keep(scene: Scene) -> None:
    """Cached contents, batches and files are kept; answers and counts are not."""
    client = genai.Client(api_key="k", http_options={"base_url": scene.upstream.url})
    kept: list[Callable[[], Any]] = [
        lambda: client.caches.create(model="m", config={"contents": "x"}),
        lambda: client.batches.create(model="m", src="files/x"),
        lambda: client.interactions.create(model="m", input="x"),
        client.file_search_stores.create,
    ]
    with scene.exchange("x", upstreams=[scene.upstream.name], upstream_storage="forbid"):
        for call in kept:
            with pytest.raises(RetentionViolation):
                call()
        client.models.generate_content(model="m", contents="x")
        client.models.count_tokens(model="m", contents="x")
    client.close()
    assert [noted.path.rpartition(":")[2] for noted in scene.upstream.requests] == [
        "generateContent",
        "countTokens",
    ]
