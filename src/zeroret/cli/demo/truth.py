"""The truth about usage: from what the SDKs parsed and what the upstream sent, never our parser."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from zeroret.cli.demo.driver import anthropic_usage, openai_usage
from zeroret.cli.demo.requests import chat_messages, is_broken_off, is_counted, is_stream
from zeroret.tokens import models, vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from zeroret.cli.demo.driver import Heard

Row: TypeAlias = dict[str, Any]
"""A row of the usage table."""

COUNTS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "reasoning_output_tokens",
)
"""The columns whose numbers are compared."""

KNOWN_MODELS: Final = frozenset(
    {
        "claude-haiku-4-5",
        "claude-sonnet-5",
        "gpt-4",
        "gpt-4.1-mini",
        "gpt-4o",
        "gpt-4o-mini",
        "o4-mini",
        "text-embedding-3-small",
    }
)
"""The models a record may show in this demo; anything else must read ``other``."""


@dataclass
class Sent:
    """What the upstream says it sent for one exchange; *text* as far as it went out."""

    status: int = 200
    usage: dict[str, Any] | None = None
    text: str = ""
    canary: str | None = None


@dataclass
class Expected:
    """What the one record of one exchange has to say.

    *counts* holds for each column the smallest and the greatest number allowed, or None where the
    record must not know; a column that is not there is not judged. With *may_be_unknown* a record
    may always know less, never anything else: a killed server keeps what it had noted by then.
    """

    number: int
    kind: str
    model: str
    fixed: dict[str, Any]
    sources: frozenset[str]
    counts: dict[str, tuple[int, int] | None] = field(default_factory=dict)
    may_be_unknown: bool = False

    def faults(self, row: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with *row*, nothing if it fits."""
        wrong = [
            f"{name} is {row.get(name)!r}, should be {value!r}"
            for name, value in self.fixed.items()
            if row.get(name) != value
        ]
        sources = self.sources | {"unknown"} if self.may_be_unknown else self.sources
        if row.get("usage_source") not in sources:
            allowed = " or ".join(sorted(sources))
            wrong.append(f"usage_source is {row.get('usage_source')!r}, should be {allowed}")
        for name, bounds in self.counts.items():
            value = row.get(name)
            if value is None and self.may_be_unknown:
                continue
            if bounds is None:
                if value is not None:
                    wrong.append(f"{name} is {value}, should be unknown")
            elif value is None or not bounds[0] <= value <= bounds[1]:
                wrong.append(f"{name} is {value}, should be {span(bounds)}")
        return wrong


@dataclass
class Comparison:
    """Rows beside expectations: *pairs* fit; the rest is said in *faults*, one sentence each."""

    pairs: list[tuple[Expected, Row]]
    faults: list[str]


def read_sent(log: Path) -> dict[int, Sent]:
    """Return what the upstream's log says, by exchange."""
    sent: dict[int, Sent] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        number = entry.pop("exchange")
        if "delta" in entry:
            sent[number].text += entry["delta"]
        else:
            sent[number] = Sent(**entry)
    return sent


def expect(heard: Heard, sent: Sent | None, again: list[str]) -> Expected:
    """Return what the record of one exchange has to say.

    Where an SDK parsed usage and the upstream says it sent some, both must agree; a disagreement is
    added to *again*, for then the demo itself is wrong.
    """
    call = heard.call
    kind = call.kind
    expected = Expected(
        number=call.number,
        kind=kind,
        model=call.model if call.model in KNOWN_MODELS else "other",
        fixed={"status": heard.status, "outcome": "completed", "dialect": _dialect(kind)},
        sources=frozenset({"reported"}),
    )
    expected.fixed["request_model"] = expected.model
    expected.fixed["stream"] = is_stream(call)
    if heard.status is None or heard.status >= 400:  # noqa: PLR2004 - HTTP's class of client errors
        expected.fixed["outcome"] = "error" if kind == "crash" else "rejected"
        expected.sources = frozenset({"unknown"})
        expected.counts = dict.fromkeys(COUNTS)
    elif is_broken_off(call):
        _broken_off(expected, heard, sent or Sent())
    elif is_counted(call):
        expected.sources = frozenset({"counted"})
        said = _tokens((sent or Sent()).text, call.model)
        expected.counts = {**dict.fromkeys(COUNTS), "output_tokens": (said, said)}
        expected.counts["input_tokens"] = (_framed(heard),) * 2
    else:
        told = _by_columns((sent or Sent()).usage, kind)
        if told != heard.usage or told is None:
            again.append(f"exchange {call.number}: the SDK parsed other usage than was sent")
        expected.counts = {
            name: None if value is None else (value, value) for name, value in (told or {}).items()
        }
    return expected


def compare(expected: Iterable[Expected], rows: Iterable[Row]) -> Comparison:
    """Give each expectation a row of its own that fits it, as many as can be, and name the rest.

    A record carries nothing by which the exchange could be told (that is its point), so the
    pairing is a maximum matching: it fails only if no assignment of rows to exchanges is right.
    """
    wanted, had = list(expected), list(rows)
    fits = [[i for i, row in enumerate(had) if not one.faults(row)] for one in wanted]
    taken: dict[int, int] = {}
    for place in range(len(wanted)):
        _assign(place, fits, taken, set())
    pairs = [(wanted[place], had[i]) for i, place in sorted(taken.items(), key=lambda kv: kv[1])]
    unmet = [wanted[place] for place in set(range(len(wanted))) - set(taken.values())]
    spare = [had[i] for i in sorted(set(range(len(had))) - set(taken))]
    times = Counter(row["id"] for row in had)
    faults = [f"record {one} stands there {n} times" for one, n in times.items() if n > 1]
    for one in sorted(unmet, key=lambda one: one.number):
        name = f"exchange {one.number} ({one.kind})"
        near = min(spare, key=lambda row: len(one.faults(row)), default=None)
        if near is None or near.get("request_model") != one.fixed.get("request_model"):
            faults.append(f"{name} has no record")
        else:
            spare.remove(near)
            faults.append(f"{name}: {'; '.join(one.faults(near))}")
    faults += [f"a record of no exchange: {row['id']}, {row.get('route')}" for row in spare]
    return Comparison(pairs, faults)


def span(bounds: tuple[int, int]) -> str:
    """Return an exact number as it is, and a range with its two ends."""
    low, high = bounds
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _assign(place: int, fits: list[list[int]], taken: dict[int, int], seen: set[int]) -> bool:
    """Find a row for expectation *place*, moving earlier ones aside (Kuhn's algorithm)."""
    for row in fits[place]:
        if row in seen:
            continue
        seen.add(row)
        if row not in taken or _assign(taken[row], fits, taken, seen):
            taken[row] = place
            return True
    return False


def _broken_off(expected: Expected, heard: Heard, sent: Sent) -> None:
    """Expect what lies between that which the client heard and that which the upstream sent."""
    killed = expected.kind.endswith("kill")
    expected.fixed["outcome"] = "killed" if killed else "aborted"
    expected.may_be_unknown = killed
    model = heard.call.model
    anthropic = expected.kind.startswith("anthropic")
    bounds = (_tokens(heard.text, model), _tokens(sent.text, model))
    expected.counts["output_tokens"] = (0, bounds[1]) if killed else bounds
    if anthropic:
        told = _by_columns(sent.usage, expected.kind) or {}
        # the input was reported at the start; for the output OpenAI's vocabulary stands in
        expected.sources = frozenset({"estimated", "reported"} if killed else {"estimated"})
        for name in ("input_tokens", "cache_read_input_tokens", "cache_write_input_tokens"):
            value = told.get(name)
            expected.counts[name] = None if value is None else (value, value)
    else:
        expected.sources = frozenset({"counted"})
        expected.counts["input_tokens"] = (_framed(heard),) * 2


def _dialect(kind: str) -> str:
    if kind == "embeddings":
        return "openai.embeddings"
    return "anthropic.messages" if kind.startswith("anthropic") else "openai.chat"


def _by_columns(usage: dict[str, Any] | None, kind: str) -> dict[str, int | None] | None:
    """Return a usage block as the upstream sent it by the record's column names."""
    if usage is None:
        return None
    if kind == "embeddings":
        return {"input_tokens": usage["prompt_tokens"], "output_tokens": 0}
    if kind.startswith("anthropic"):
        from anthropic.types import Usage

        return anthropic_usage(Usage.model_validate(usage))
    from openai.types import CompletionUsage

    return openai_usage(CompletionUsage.model_validate(usage))


def _tokens(text: str, model: str) -> int:
    """Count the whole *text* at once with tiktoken itself."""
    name, _ = models.resolve(model, None)
    return len(vocabulary.encoding(name).encode_ordinary(text))


def _framed(heard: Heard) -> int:
    """Count a chat prompt by OpenAI's published rule: 3 a message, its values, 3 for the reply."""
    model = heard.call.model
    messages = chat_messages(heard.call)
    return 3 + sum(3 + sum(_tokens(v, model) for v in message.values()) for message in messages)
