"""The comparison of records with the truth: what fits, and each way of being wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.cli.demo.calls import Call
from zeroret.cli.demo.driver import Heard
from zeroret.cli.demo.replies import openai_usage, sentences
from zeroret.cli.demo.truth import COUNTS, Expected, Sent, compare, expect

NOTHING: dict[str, Any] = dict.fromkeys(COUNTS)


def expected(number: int, low: int, high: int | None = None, model: str = "gpt-4o") -> Expected:
    """Return an expectation of one output count."""
    return Expected(
        number=number,
        kind="openai json",
        model=model,
        fixed={"request_model": model, "status": 200},
        sources=frozenset({"reported"}),
        counts={"output_tokens": (low, low if high is None else high), "input_tokens": None},
    )


def row(name: str, output: int | None, **changed: Any) -> dict[str, Any]:
    """Return a record."""
    return {
        "id": name,
        "request_model": "gpt-4o",
        "status": 200,
        "usage_source": "reported",
        "output_tokens": output,
        "input_tokens": None,
        **changed,
    }


def heard(kind: str, model: str = "gpt-4o-mini", **found: Any) -> Heard:
    """Return an exchange as the client saw it."""
    canaries = dict.fromkeys(("prompt", "system prompt", "tool name", "tool arguments"), "c" * 32)
    return Heard(Call(7, kind, model, canaries), status=200, **found)


def test_all_fit() -> None:
    """Rows in any order fit, each its own exchange."""
    comparison = compare([expected(1, 10), expected(2, 20)], [row("b", 20), row("a", 10)])
    assert comparison.faults == []
    assert [(one.number, found["id"]) for one, found in comparison.pairs] == [(1, "a"), (2, "b")]


def test_missing_row() -> None:
    """An exchange without a record is named."""
    comparison = compare([expected(1, 10), expected(2, 20)], [row("a", 10)])
    assert comparison.faults == ["exchange 2 (openai json) has no record"]


def test_double_row() -> None:
    """A second record of one exchange is named, under its own id and under the same."""
    assert compare([expected(1, 10)], [row("a", 10), row("b", 10)]).faults == [
        "a record of no exchange: b, None"
    ]
    assert (
        "record a stands there 2 times"
        in compare([expected(1, 10)], [row("a", 10), row("a", 10)]).faults
    )


def test_wrong_count() -> None:
    """A wrong number is named with the right one."""
    assert compare([expected(1, 10)], [row("a", 11)]).faults == [
        "exchange 1 (openai json): output_tokens is 11, should be 10"
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"status": 500}, "status is 500, should be 200"),
        ({"usage_source": "counted"}, "usage_source is 'counted', should be reported"),
        ({"input_tokens": 0}, "input_tokens is 0, should be unknown"),
        ({"output_tokens": None}, "output_tokens is None, should be 10"),
    ],
)
def test_every_other_fault(changed: dict[str, Any], said: str) -> None:
    """Statuses, sources, and unknown against zero are compared as well."""
    assert compare([expected(1, 10)], [row("a", 10) | changed]).faults == [
        f"exchange 1 (openai json): {said}"
    ]


def test_bounds_are_matched_as_well_as_can_be() -> None:
    """A greedy choice of rows would fail here; the matching finds the only assignment."""
    wide, narrow = expected(1, 0, 100), expected(2, 40, 60)
    assert compare([wide, narrow], [row("a", 50), row("b", 90)]).faults == []


@given(st.data())
def test_any_order_of_fitting_rows_fits(data: st.DataObject) -> None:
    """Rows drawn within the bounds of as many exchanges always fit, and one too few never does."""
    lows = data.draw(st.lists(st.integers(0, 30), min_size=1, max_size=8))
    wanted = [expected(n, low, low + data.draw(st.integers(0, 10))) for n, low in enumerate(lows)]
    rows = [
        row(str(one.number), data.draw(st.integers(*(one.counts["output_tokens"] or (0, 0)))))
        for one in wanted
    ]
    rows = data.draw(st.permutations(rows))
    assert compare(wanted, rows).faults == []
    assert compare(wanted, rows[1:]).faults != []


def test_reported_usage_is_the_sdks() -> None:
    """Where the SDK parsed usage and the upstream sent the same, both are the truth."""
    usage = {
        "input_tokens": 1049,
        "output_tokens": 57,
        "cache_read_input_tokens": 264,
        "reasoning_output_tokens": 0,
    }
    again: list[str] = []
    one = expect(heard("openai json", usage=usage), Sent(usage=openai_usage(7, "")), again)
    assert again == []
    assert one.sources == {"reported"}
    assert one.counts == {name: (value, value) for name, value in usage.items()}


def test_a_demo_that_contradicts_itself_says_so() -> None:
    """If the SDK parsed other numbers than were sent, that is a fault of its own."""
    again: list[str] = []
    expect(heard("openai json", usage={"input_tokens": 1}), Sent(usage=openai_usage(7, "")), again)
    assert again == ["exchange 7: the SDK parsed other usage than was sent"]


def test_uncounted_streams_are_counted_whole() -> None:
    """Where nobody reported, the truth is tiktoken's count of the whole text, and the framing's."""
    one = expect(heard("openai stream uncounted"), Sent(text="hello world"), [])
    assert one.sources == {"counted"}
    assert one.counts["output_tokens"] == (2, 2)
    assert one.counts["input_tokens"] is not None


def test_hang_up_lies_between_heard_and_sent() -> None:
    """An aborted answer counts at least what the client heard and at most what was sent."""
    texts = sentences("c" * 32)
    listened, sent = "".join(texts[:9]), "".join(texts[:12])
    one = expect(heard("openai hang-up", text=listened), Sent(text=sent), [])
    bounds = one.counts["output_tokens"]
    assert bounds is not None
    assert 0 < bounds[0] < bounds[1]
    assert one.fixed["outcome"] == "aborted"


@pytest.mark.parametrize(("kind", "outcome"), [("crash", "error"), ("openai refused", "rejected")])
def test_failed_exchanges_use_nothing(kind: str, outcome: str) -> None:
    """A failed exchange has a record, and it knows of no usage."""
    failed = heard(kind)
    failed.status = 500 if kind == "crash" else 400
    one = expect(failed, None, [])
    assert one.fixed["outcome"] == outcome
    assert one.counts == NOTHING


def test_invented_models_are_other() -> None:
    """A model's name that nobody could know may not stand in a record."""
    failed = heard("unknown model", model="my-" + "c" * 32)
    failed.status = 404
    assert expect(failed, None, []).fixed["request_model"] == "other"


def test_a_killed_exchange_may_know_less_but_nothing_else() -> None:
    """After a kill a record may know nothing, or what is right; never anything else."""
    one = expect(heard("openai kill", text="Dear Ada,"), Sent(text="Dear Ada, your"), [])
    killed = {"status": 200, "outcome": "killed", "dialect": "openai.chat", "stream": True}
    row = {**killed, "request_model": "gpt-4o-mini", "usage_source": "unknown"}
    assert one.faults(row) == []
    right = one.counts["input_tokens"]
    assert right is not None
    assert one.faults({**row, "usage_source": "counted", "input_tokens": right[0]}) == []
    assert one.faults({**row, "input_tokens": right[0] + 1}) != []
    assert one.faults({**row, "output_tokens": 99}) != []
