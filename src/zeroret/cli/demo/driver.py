"""The client: the real openai and anthropic SDKs, and what they parsed of each answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anthropic
import openai

from zeroret.cli.demo.requests import carried, is_broken_off, is_stream, request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeroret.cli.demo.calls import Call

THREADS: Final = 6
TIMEOUT: Final = 30.0
HEARD: Final = 12
"""Pieces of a slow stream that the client hears before it hangs up."""


@dataclass
class Heard:
    """What the client saw of one exchange.

    *usage* holds the SDK's parsed numbers by the record's column names, all input and all output
    included (for Anthropic: input plus cache reads plus cache writes), None if none came; *text* is
    the answer as far as it was heard; *planted* are the canaries it carried; *latency* and
    *first_token* are seconds.
    """

    call: Call
    planted: set[str] = field(default_factory=set, repr=False)
    status: int | None = None
    usage: dict[str, int | None] | None = None
    text: str = ""
    latency: float = 0.0
    first_token: float | None = None
    error: str | None = None
    started: float = field(default_factory=time.perf_counter, repr=False)

    def add(self, text: str | None) -> None:
        """Take a piece of the answer, if there is one."""
        if not text:
            return
        if self.first_token is None:
            self.first_token = time.perf_counter() - self.started
        self.text += text


Progress: TypeAlias = Callable[[], object]
"""Called after each exchange."""

Interrupt: TypeAlias = Callable[[], object]
"""Called once in each stream that is not heard to its end, while it is open."""


class Driver:
    """Makes calls to one server."""

    def __init__(self, url: str) -> None:
        self._openai = openai.OpenAI(
            base_url=f"{url}/v1",
            api_key="replaced by each call",
            max_retries=0,
            timeout=TIMEOUT,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        )
        self._anthropic = anthropic.Anthropic(
            base_url=url,
            api_key="replaced by each call",
            max_retries=0,
            timeout=TIMEOUT,
            http_client=anthropic.DefaultHttpxClient(trust_env=False),
        )

    def run(
        self, calls: Iterable[Call], progress: Progress, meanwhile: Interrupt | None = None
    ) -> list[Heard]:
        """Make *calls*, several at a time; return what was heard, in order."""

        def one(call: Call) -> Heard:
            heard = self.make(call, meanwhile)
            progress()
            return heard

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(one, calls))

    def close(self) -> None:
        """Close the connections."""
        self._openai.close()
        self._anthropic.close()

    def make(self, call: Call, meanwhile: Interrupt | None = None) -> Heard:
        """Make one call; *meanwhile* is called once the first pieces of its stream were heard."""
        asked = request(call)
        heard = Heard(call, carried(call, asked))
        try:
            if call.kind == "embeddings":
                self._embed(heard, asked)
            elif call.kind.startswith("anthropic"):
                self._message(heard, asked, meanwhile)
            else:
                self._chat(heard, asked, meanwhile)
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            heard.status = error.status_code
        except Exception as error:  # noqa: BLE001 - whatever broke off is a result, not a crash
            heard.error = type(error).__name__
        heard.latency = time.perf_counter() - heard.started
        return heard

    def _chat(self, heard: Heard, asked: dict[str, Any], meanwhile: Interrupt | None) -> None:
        create: Any = self._openai.chat.completions.create
        answer = create(**asked)
        heard.status = 200
        if not is_stream(heard.call):
            heard.usage = openai_usage(answer.usage)
            heard.add(answer.choices[0].message.content)
            return
        pieces = 0
        with answer as stream:
            for chunk in stream:
                if chunk.usage is not None:
                    heard.usage = openai_usage(chunk.usage)
                text = chunk.choices[0].delta.content if chunk.choices else None
                if not text:
                    continue
                heard.add(text)
                pieces += 1
                if is_broken_off(heard.call) and pieces == HEARD:
                    if meanwhile is None:
                        return  # leaving the block closes the connection in mid-stream
                    meanwhile()

    def _message(self, heard: Heard, asked: dict[str, Any], meanwhile: Interrupt | None) -> None:
        if not is_stream(heard.call):
            create: Any = self._anthropic.messages.create
            answer = create(**asked)
            heard.status = 200
            heard.usage = anthropic_usage(answer.usage)
            for block in answer.content:
                heard.add(getattr(block, "text", None))
            return
        with self._anthropic.messages.stream(**asked) as stream:
            heard.status = 200
            for pieces, text in enumerate(stream.text_stream, start=1):
                heard.add(text)
                if is_broken_off(heard.call) and pieces == HEARD:
                    heard.usage = anthropic_usage(stream.current_message_snapshot.usage)
                    if meanwhile is None:
                        return
                    meanwhile()
            heard.usage = anthropic_usage(stream.get_final_message().usage)

    def _embed(self, heard: Heard, asked: dict[str, Any]) -> None:
        create: Any = self._openai.embeddings.create
        answer = create(**asked)
        heard.status = 200
        heard.usage = {"input_tokens": answer.usage.prompt_tokens, "output_tokens": 0}


def openai_usage(usage: Any) -> dict[str, int | None] | None:
    """Return the SDK's `CompletionUsage` by the record's names; None if there is none."""
    if usage is None:
        return None
    given, made = usage.prompt_tokens_details, usage.completion_tokens_details
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_read_input_tokens": given and given.cached_tokens,
        "reasoning_output_tokens": made and made.reasoning_tokens,
    }


def anthropic_usage(usage: Any) -> dict[str, int | None]:
    """Return the SDK's `Usage` by the record's names: cache reads and writes are input too."""
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    return {
        "input_tokens": usage.input_tokens + (read or 0) + (written or 0),
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": read,
        "cache_write_input_tokens": written,
    }
