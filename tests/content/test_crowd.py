"""The crowd against the definition: what it finds, what it refuses, and that nothing stays."""

from __future__ import annotations

import gc
import json
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from zeroret.content import company, crowd
from zeroret.content.blocks import BLOCK, STRIDE, STRIDE_LARGE, blocks, places
from zeroret.content.company import Company
from zeroret.content.crowd import Member
from zeroret.content.flight import Flight
from zeroret.content.live import LiveSet
from zeroret.content.matching import LARGE, OTHER, shared, shares, threshold

if TYPE_CHECKING:
    from collections.abc import Callable


def everyone(flight: Flight) -> bool:
    """Let every exchange count."""
    return True


def entered(live: LiveSet, *chunks: bytes | str) -> Flight:
    """Return a flight that is live and holds some chunks."""
    flight = Flight("match")
    live.enter(flight)
    for chunk in chunks:
        flight.hold(chunk)
    return flight


def idle(_: float) -> None:
    """Stand in for the call of a thread."""


def derived(live: LiveSet) -> int:
    """Return how much the crowd of a live set still knows of anybody."""
    crowd = live.crowd
    known = (crowd.arrived, crowd._blocks, crowd._again, crowd._members, crowd._chunks)
    return sum(map(len, known)) + len(crowd._taken) + crowd._size


@given(st.binary(max_size=150), st.sampled_from([1, 4, STRIDE, STRIDE_LARGE]))
def test_blocks_stand_where_their_places_say(data: bytes, stride: int) -> None:
    """Every place a stride apart has its block, up to the last that is whole."""
    found = dict(zip(places(len(data), stride), blocks(data, stride), strict=True))
    assert found == {at: data[at : at + BLOCK] for at in range(0, len(data) - BLOCK + 1, stride)}


alphabets = st.sampled_from([b"ab", b"abcdefgh ", b'abcd\\n"u0: ', bytes(range(256))])


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[list[bytes]], bytes]:
    """Draw the chunks of some exchanges, and a text that quotes parts of them."""
    letters = st.lists(st.sampled_from(list(draw(alphabets))), max_size=120).map(bytes)
    contents = draw(
        st.lists(st.lists(letters, min_size=1, max_size=5), min_size=1, max_size=4),
    )
    if draw(st.booleans()):
        contents.append(draw(st.sampled_from(contents)))  # two say the same
    parts = [draw(letters)[:9]]
    for _ in range(draw(st.integers(0, 4))):
        content = b"".join(draw(st.sampled_from(contents)))
        start = draw(st.integers(0, len(content)))
        parts += [content[start : start + draw(st.integers(0, 130))], draw(letters)[:12]]
    text = b"".join(parts)
    return contents, draw(st.sampled_from([text, text.upper(), text.hex().encode()]))


def covered(spans: list[tuple[int, int]]) -> set[int]:
    """Return every place that some span covers."""
    return {at for start, end in spans for at in range(start, end)}


@settings(max_examples=600, deadline=None)
@given(crowds(), st.booleans(), st.booleans())
def test_all_at_once_is_what_each_one_by_one_is(
    drawn: tuple[list[list[bytes]], bytes],
    background: bool,  # noqa: FBT001 - drawn
    large: bool,  # noqa: FBT001 - drawn
) -> None:
    """The crowd finds exactly what the indexes of the exchanges find, at every threshold."""
    contents, text = drawn
    live = LiveSet()
    padding = [b"\xf0" * (LARGE + 1)] if large else []
    flights = [entered(live, *padding, *chunks) for chunks in contents]
    assert {threshold(flight) for flight in flights} == {24 if large else 16}
    own = None if background else flights[0]
    found = shared(text, own, live.everyone, background=background)
    assert found == shared(text, own, flights, background=background)


@settings(max_examples=150, deadline=None)
@given(crowds(), st.integers(1, 40))
def test_content_that_grows_is_known_as_it_grows(
    drawn: tuple[list[list[bytes]], bytes], size: int
) -> None:
    """Whatever the pieces in which it was read, a text shares what it shares with all of it."""
    contents, text = drawn
    live = LiveSet()
    flights = [entered(live) for _ in contents]
    for flight, chunks in zip(flights, contents, strict=True):
        content = b"".join(chunks)
        for at in range(0, len(content), size):
            flight.hold(content[at : at + size])
            shares(text, None, live.everyone, background=True)
    fresh = [entered(LiveSet(), *flight.chunks) for flight in flights]
    whole = covered(shared(text, None, fresh, background=True))
    assert covered(shared(text, None, live.everyone, background=True)) >= whole


def test_runs_are_found_across_pages_at_every_alignment(prose: str) -> None:
    """A run of exactly the threshold is found wherever it begins, one byte less is not."""
    live, content = LiveSet(), prose[:20_000].encode()
    entered(live, content)
    own = Flight()
    for start in [*range(4000, 4200), *range(16_300, 16_420)]:
        near, far = content[start : start + 24], content[start : start + OTHER]
        found = shared(b"\x01" + near + b"\x02", None, live.everyone, background=True)
        assert (1, 25) in found
        assert shared(b"\x01" + far + b"\x02", own, live.everyone) == [(1, 1 + OTHER)]
        assert shared(b"\x01" + far[:-1] + b"\x02", own, live.everyone) == []


def test_what_very_many_say_counts_as_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held by more than are compared is withheld with all that could belong to it."""
    live = LiveSet()
    for number in range(20):
        entered(live, b"%02d the same words %02d" % (number, number))
    text = "99 the same words 99"
    each = shared(text, None, live.flights(), background=True)
    assert shared(text, None, live.everyone, background=True) == each
    monkeypatch.setattr(crowd, "PATIENCE", 19)
    assert shared(text, None, live.everyone, background=True) == [(0, 20)]


def test_what_does_not_count_is_not_found() -> None:
    """An exchange whose logs are not guarded, and the text's own, are no others."""
    live = LiveSet()
    own = entered(live, b"the patient is called Alva Berg " * 3)
    own.log_guard = "none"
    text = "the patient is called Alva Berg " * 3
    assert shared(text, None, live.everyone, background=True)
    assert shared(text, None, live.logged, background=True) == []
    assert shared(text, Flight(), live.everyone)
    assert not any(
        live.crowd.runs(text.encode(), OTHER, lambda each: each is not own, folded=folded)
        for folded in (False, True)
    )


def test_what_was_not_read_yet_is_not_shown(monkeypatch: pytest.MonkeyPatch, prose: str) -> None:
    """A text that needs more work than is allowed is withheld but for its constants; then not."""
    live = LiveSet()
    impatient = Company(live, everyone, work=2**14)
    entered(live, prose[:30_000])
    text = "seen: a text that nobody's prompt says, in which nothing is hidden"
    keep = frozenset([text[:40]])
    assert shared(text, None, impatient, background=True, keep=keep) == [(40, len(text))]
    assert shared("four words, 12", None, impatient, background=True) == []
    assert shared(text, None, impatient, background=True, keep=keep) == []
    # What may not be withheld is matched one by one where the crowd has no room.
    monkeypatch.setattr(crowd, "MOST", 100)
    other = entered(live, b"whereas the patient is called Alva Berg", b"!" * 5000)
    quote = "the patient is called Alva Berg"
    assert shared(f"{text}{quote}", None, live.everyone, background=True) == [
        (0, len(text) + len(quote))
    ]
    found = shared(f"{text}{quote}", None, live.everyone.patient(), background=True)
    assert found == [(len(text), len(text) + len(quote))]
    live.leave(other, 0)


def test_who_comes_as_another_goes_is_read(prose: str) -> None:
    """Not even exchanges of as many chunks are taken for each other."""
    live = LiveSet()
    gone, _ = entered(live, prose[:300], "x"), entered(live, prose[300:600], "y")
    assert live.crowd.catch_up()
    live.leave(gone, 0)
    entered(live, f"{prose[:40_000]} patient", " is called Alva Berg")
    assert not live.crowd.catch_up(1)
    assert live.crowd.catch_up()
    assert shares("patient is called Alva Berg", None, live.everyone, background=True)


@pytest.mark.timeout(30)
def test_what_was_left_is_read_on_by_itself(prose: str) -> None:
    """After a text fell behind, the thread that drops content reads until nothing is left."""
    live = LiveSet()
    flights = [entered(live, f"{number}{prose}") for number in range(4)]
    text = "a text that nobody's prompt says, in which nothing is hidden"
    assert shared(text, None, live.everyone, background=True) == [(0, len(text))]
    while live.crowd.behind() or live._reading:
        threading.Event().wait(0.02)
    assert shared(text, None, live.everyone, background=True) == []
    assert not live._followers
    for flight in flights:
        live.leave(flight, 0)
    assert derived(live) == 0


def test_who_reads_keeps_nobody_waiting() -> None:
    """While another thread reads, a text is withheld; what may not be withheld waits."""
    live = LiveSet()
    entered(live, b"whatever")
    found: list[bool] = []
    with live.crowd._lock:
        asking = threading.Thread(target=lambda: found.append(live.crowd.catch_up(1000)))
        asking.start()
        asking.join()
    assert found == [False]
    assert live.crowd.catch_up(1000)


def test_constants_alone_need_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of the program's own words and short values is shown without reading anybody."""
    live = LiveSet()
    entered(live, b"whatever")
    keep = frozenset(["the queue is full, try again in ", " seconds, or later"])
    text = "the queue is full, try again in 12.5 seconds, or later"
    monkeypatch.setattr(company.Company, "crowd", None)
    assert shared(text, None, live.everyone, background=True, keep=keep) == []


def test_a_drop_takes_everything_away(prose: str, asking: Callable[[str], Flight]) -> None:
    """After the drop the crowd holds nothing of the content, however it had grown."""
    live = LiveSet()
    system = prose[:900]
    flights = [entered(live) for _ in range(3)]
    for at in range(0, 9000, 300):
        for number, flight in enumerate(flights):
            flight.hold(system if not at else prose[at + number : at + 300])
        assert shares(prose[at : at + 70], None, live.everyone, background=True)
    for flight in flights:
        live.leave(flight, 0)
        assert shares(system[:70], None, live.everyone, background=True) == live.busy
    assert derived(live) == 0


def test_nothing_keeps_what_was_made_of_content_alive(prose: str) -> None:
    """The pages of an exchange die with its drop, not with the next garbage collection."""
    live = LiveSet()
    flight = entered(live, prose[:3000])
    shares(prose, None, live.everyone, background=True)
    gc.disable()
    try:
        live.leave(flight, 0)
        left = [each for each in gc.get_objects() if type(each) is Member]
        assert not [each for each in left if each.flight is flight]
    finally:
        gc.enable()


def test_who_drops_while_others_read_does_not_wait(prose: str) -> None:
    """An exchange that is dropped inside a look leaves as soon as the look ends."""
    live = LiveSet()
    flight = entered(live, prose[:3000])
    shares(prose[:99], None, live.everyone, background=True)

    class Dropping:
        def __len__(self) -> int:
            live.leave(flight, 0)
            assert live.crowd._members
            return 0

    live.crowd._chunks[Flight()] = Dropping()  # type: ignore[assignment] # asked while the lock is held
    live.crowd._busy = True
    live.crowd.behind()
    live.crowd._busy = False
    live.crowd._chunks.popitem()
    live.crowd.catch_up()
    assert derived(live) == 0


def test_a_failure_while_content_is_read_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """No text is shown on the strength of half a crowd, and the next one sees it whole."""
    live = LiveSet()
    entered(live, b"the patient is called Alva Berg")

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Member, "read", fail)
        with pytest.raises(MemoryError):
            shares("a text of some length", None, live.everyone, background=True)
    assert shares("patient is called Alva Berg", None, live.everyone, background=True)


def test_a_fork_begins_anew() -> None:
    """What the parent's exchanges said is not known in the child; its own is read again."""
    live = LiveSet()
    kept, gone = entered(live, b"the patient is called Alva"), entered(live, b"and lives in Rome")
    assert shares("the patient is called Alva", None, live.everyone, background=True)
    live._call_thread = idle  # type: ignore[method-assign, assignment] # a fork's child has no thread
    live.leave(gone, 9)
    live._after_fork()
    assert list(live.crowd.arrived) == [kept]
    assert shares("the patient is called Alva", None, live.everyone, background=True)
    assert not shares("well, and lives in Rome", None, live.everyone, background=True)


WORDS = ["Alva Berg of Rome", "has the pills of Tuesday", "You are a helpful assistant. "]


class Traffic(RuleBasedStateMachine):
    """Exchanges come, say something, look alike, end and are dropped, while texts are matched."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.live = LiveSet(clock=lambda: self.now, budget=2000)
        self.live._call_thread = idle  # type: ignore[method-assign, assignment] # the rules do its work
        self.flights: list[Flight] = []

    @rule(word=st.sampled_from(WORDS), times=st.integers(1, 400), as_json=st.booleans())
    def enter(self, word: str, times: int, as_json: bool) -> None:  # noqa: FBT001 - drawn
        """An exchange comes with some content."""
        said = word * times
        self.flights.append(entered(self.live, json.dumps({"a": said}) if as_json else said))

    @precondition(lambda self: self.flights)
    @rule(data=st.data(), word=st.sampled_from(WORDS))
    def say(self, data: st.DataObject, word: str) -> None:
        """More of its content passes."""
        flight = data.draw(st.sampled_from(self.flights))
        if not flight.closed:
            flight.hold(word)

    @precondition(lambda self: self.flights)
    @rule(data=st.data(), grace=st.sampled_from([0.0, 1.0]))
    def leave(self, data: st.DataObject, grace: float) -> None:
        """An exchange ends."""
        flight = data.draw(st.sampled_from(self.flights))
        self.live.leave(flight, grace)

    @rule(seconds=st.sampled_from([0.5, 2.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by, and content is dropped."""
        self.now += seconds
        with self.live._lock:
            self.live._sweep(self.now)

    @rule(word=st.sampled_from(WORDS), background=st.booleans())
    def match(self, word: str, background: bool) -> None:  # noqa: FBT001 - drawn
        """A text shares with all at once what it shares with each, or more where many say it."""
        text = f"{word * 4} {word.upper()}"
        found = covered(shared(text, None, self.live.everyone, background=background))
        each = covered(shared(text, None, self.live.flights(), background=background))
        assert found >= each
        if not each:
            assert not found

    @invariant()
    def nothing_dropped_is_known(self) -> None:
        """The crowd knows nobody that is not live, and no block that nobody says."""
        crowd, live = self.live.crowd, set(self.live.flights())
        assert live >= {*crowd.arrived, *crowd._members}
        held = Counter(block for each in crowd._members.values() for block in each.blocks)
        assert crowd._blocks == held.keys()
        assert crowd._again == {block: number - 1 for block, number in held.items() if number > 1}
        if not live:
            assert derived(self.live) == 0


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
