"""The crowd: what is in it, and that nothing stays behind."""

from __future__ import annotations

import gc

from hypothesis import given
from hypothesis import strategies as st

from zeroret.content.crowd import CROWD, Crowd, blocks, probes
from zeroret.content.flight import Flight
from zeroret.content.index import CROWD_LIMIT
from zeroret.content.matching import shared


@given(st.binary(min_size=64, max_size=64), st.integers(0, 40), st.integers(0, 40))
def test_a_shared_run_of_sixty_four_bytes_meets_at_any_alignment(
    run: bytes, before: int, lead: int
) -> None:
    """Whatever stands before the run in content and text, one probe is one block."""
    crowd = Crowd()
    crowd.join(blocks(b"\x00" * before + run, 0))
    assert crowd.meets(probes(b"\x01" * lead + run))


def test_blocks_are_counted_and_leave_with_the_last_who_brought_them() -> None:
    """Two exchanges with one system prompt do not take each other's blocks away."""
    crowd, shared_prompt = Crowd(), blocks(b"You are a helpful assistant, be brief.", 0)
    crowd.join(shared_prompt)
    crowd.join(shared_prompt)
    crowd.leave(shared_prompt)
    assert crowd.meets(shared_prompt)
    crowd.leave(shared_prompt)
    assert len(crowd) == 0


def test_a_leave_while_the_lock_is_held_is_settled_by_the_holder() -> None:
    """A finaliser may run inside `join`, in the very thread that holds the lock."""
    crowd, gone = Crowd(), [b"0123456789abcdef"]
    crowd.join(gone)

    def interrupted() -> list[bytes]:
        crowd.leave(gone)
        return [b"fedcba9876543210"]

    crowd.join(block for _ in range(1) for block in interrupted())
    assert not crowd.meets(gone)
    assert len(crowd) == 1


def test_a_drop_takes_the_blocks_of_an_exchange_away(prose: str) -> None:
    """After the drop the crowd holds nothing of the content, however it had grown."""
    gc.collect()
    empty = len(CROWD)
    flight = Flight()
    for at in range(0, 3000, 100):
        flight.hold(prose[at : at + 100])
        assert shared(prose[at : at + 64], None, [flight])
        # Indexed as the own in between: the crowd must hear of that content as well.
        flight.hold("and then something else")
        shared("some text of its own exchange", flight)
        assert shared(prose[at : at + 70], None, [flight])
    assert len(CROWD) > empty
    flight.drop()
    assert len(CROWD) == empty


def test_content_too_large_for_the_crowd_is_looked_up_by_itself(prose: str) -> None:
    """Another exchange's long content is matched all the same."""
    flight = Flight()
    for number in range(CROWD_LIMIT // len(prose) + 2):
        flight.hold(f"{number}{prose}")
    before = len(CROWD)
    assert shared(f"\x01{prose[40_000:40_064]}", None, [flight]) == [(1, 65)]
    assert len(CROWD) == before
