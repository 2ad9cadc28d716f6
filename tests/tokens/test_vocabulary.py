"""The packaged vocabularies: the very ones of tiktoken, without a network, whatever the process."""

from __future__ import annotations

import base64
import hashlib
import importlib.machinery
import importlib.util
import lzma
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
import tiktoken
from tiktoken_ext import openai_public  # type: ignore[import-untyped] # it ships no types

from zeroret.errors import ConfigurationError
from zeroret.tokens import TokenStream, vocabulary

SCRIPT: Final = Path(__file__).parents[2] / "scripts" / "build-vocabularies"

RANK_FILES: Final = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
"""The SHA-256 that tiktoken demands of the rank files it downloads."""

BLOBS: Final = {
    "o200k_base": "74c6f5af06dd76707df670b80098f8be24afcd25ffae041f3df869abdcf63f65",
    "cl100k_base": "3208ff089538356f91190e4abe4f6b1126b65045c189e60d7c5475580d6fc3b9",
}


def rank_file(name: str) -> bytes:
    """Write the packaged ranks as the file tiktoken downloads."""
    ranks = vocabulary.ranks(name)
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run *program* in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def script() -> ModuleType:
    """Give the build script as a module."""
    loader = importlib.machinery.SourceFileLoader("build_vocabularies", str(SCRIPT))
    spec = importlib.util.spec_from_loader("build_vocabularies", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", RANK_FILES)
def test_the_packaged_files_are_whole(name: str) -> None:
    """The blob has its known digest, and its ranks make the very file that tiktoken downloads."""
    blob = (vocabulary.DATA / f"{name}.xz").read_bytes()
    assert hashlib.sha256(blob).hexdigest() == BLOBS[name]
    assert hashlib.sha256(rank_file(name)).hexdigest() == RANK_FILES[name]


@pytest.mark.parametrize("name", RANK_FILES)
def test_patterns_and_special_tokens_are_tiktokens(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands beside the ranks equals what the installed tiktoken would use."""
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: {})
    theirs = openai_public.ENCODING_CONSTRUCTORS[name]()
    ours = vocabulary.encoding(name)
    assert ours._pat_str == theirs["pat_str"]
    assert ours._special_tokens == theirs["special_tokens"]
    assert ours.name == name


def test_the_script_packs_what_is_shipped(script: ModuleType) -> None:
    """Packing the rank file again gives the shipped vocabulary."""
    shipped = (vocabulary.DATA / "cl100k_base.xz").read_bytes()
    packed = script.packed(rank_file("cl100k_base"))
    assert lzma.decompress(packed) == lzma.decompress(shipped)
    assert script.SHA256 == RANK_FILES


def test_the_script_refuses_other_files(script: ModuleType, tmp_path: Path) -> None:
    """A rank file with another digest, or with a gap in its ranks, is not packed."""
    other = tmp_path / "other.tiktoken"
    other.write_bytes(b"IQ== 0\nIw== 2\n")
    with pytest.raises(SystemExit, match="no file given has the SHA-256 of o200k_base"):
        script.main([str(other)])
    with pytest.raises(SystemExit, match="line 2 holds rank 2, expected 1"):
        script.packed(other.read_bytes())


def test_an_encoding_is_loaded_once() -> None:
    """Asking again gives the same object, and loaded says so."""
    first = vocabulary.encoding("cl100k_base")
    assert isinstance(first, tiktoken.Encoding)
    assert vocabulary.encoding("cl100k_base") is first
    assert vocabulary.loaded("cl100k_base")


def test_unknown_encodings() -> None:
    """An unknown name is an error that names the known ones; in the background it is nothing."""
    with pytest.raises(ConfigurationError, match="cl100k_base or o200k_base"):
        vocabulary.encoding("p50k_base")
    vocabulary.load_in_background("p50k_base")
    assert not vocabulary.loaded("p50k_base")


def test_a_missing_file_makes_estimates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A vocabulary that cannot be read hurts nobody: its counts are estimates."""
    monkeypatch.setattr(vocabulary, "_encodings", {})
    monkeypatch.setattr(vocabulary, "DATA", tmp_path)
    stream = TokenStream("o200k_base")
    stream.feed("hello world")
    assert (stream.finish(), stream.exact) == (3, False)
    vocabulary.load_in_background("o200k_base")
    vocabulary._threads["o200k_base"].join(30)
    assert not vocabulary.loaded("o200k_base")


def test_no_connection_is_opened() -> None:
    """Loading and counting touch no socket and look up no name, and leave requests alone."""
    done = run(
        "import socket, sys\n"
        "seen = []\n"
        "sys.addaudithook(lambda e, _: seen.append(e) if e.startswith('socket.') else None)\n"
        "def refuse(*_): raise AssertionError('a connection was opened')\n"
        "socket.socket.connect = refuse\n"
        "from zeroret.tokens import TokenCounter, vocabulary\n"
        "assert 'tiktoken' not in sys.modules\n"
        "counter = TokenCounter()\n"
        "assert counter.count('hello world', model='gpt-4o') == 2\n"
        "assert counter.count('hello world', model='gpt-4') == 2\n"
        "assert all(map(vocabulary.loaded, vocabulary.NAMES))\n"
        "assert 'requests' not in sys.modules\n"
        "assert not seen, seen\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_many_threads_load_it_once() -> None:
    """Threads that ask at the same time get one object, and loading runs once, by that name."""
    done = run(
        "import threading\n"
        "from zeroret.tokens import vocabulary\n"
        "loads, load = [], vocabulary._load\n"
        "vocabulary._load = lambda n: loads.append(threading.current_thread().name) or load(n)\n"
        "vocabulary.load_in_background('cl100k_base')\n"
        "vocabulary.load_in_background('cl100k_base')\n"
        "found = []\n"
        "ask = lambda: found.append(vocabulary.encoding('cl100k_base'))\n"
        "threads = [threading.Thread(target=ask) for _ in range(8)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
        "assert len(found) == 8 and len({id(e) for e in found}) == 1\n"
        "assert len(loads) == 1, loads\n"
        "assert [t.name for t in vocabulary._threads.values()] == ['zeroret-vocabulary']\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


FORK: Final = """
import os, sys, time
from zeroret.tokens import TokenCounter, vocabulary
{before}
pid = os.fork()
if pid == 0:
    vocabulary.load_in_background('cl100k_base')
    os._exit(0 if TokenCounter().count('hello world', model='gpt-4') == 2 else 3)
deadline = time.monotonic() + 30
while (gone := os.waitpid(pid, os.WNOHANG)) == (0, 0):
    if time.monotonic() > deadline:
        os.kill(pid, 9)
        sys.exit('the child hangs')
    time.sleep(0.01)
assert os.waitstatus_to_exitcode(gone[1]) == 0, gone
assert TokenCounter().count('hello world', model='gpt-4') == 2
"""


@pytest.mark.parametrize(
    "before",
    [
        "",
        "vocabulary.encoding('cl100k_base')",
        "vocabulary.load_in_background('cl100k_base')",
        "vocabulary.load_in_background('cl100k_base'); time.sleep(0.03)",
        "vocabulary.load_in_background('cl100k_base'); time.sleep(0.06)",
    ],
    ids=["nothing", "loaded", "starting", "loading", "later"],
)
def test_a_fork_at_any_time_counts_in_parent_and_child(before: str) -> None:
    """Whatever the loading thread is doing at the fork, both processes count."""
    program = FORK.format(before=before)
    # Python 3.12 warns of a fork beside threads, which is what is tried here
    done = run("import warnings; warnings.simplefilter('ignore')\n" + program)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("delay", [0, 0.02, 0.05, 0.1])
def test_exit_while_loading_is_quiet(delay: float) -> None:
    """An interpreter that ends while the thread loads ends well, and says nothing."""
    done = run(
        "import time\n"
        "from zeroret.tokens import vocabulary\n"
        "vocabulary.load_in_background('o200k_base')\n"
        f"time.sleep({delay})\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_loading_during_exit_is_quiet() -> None:
    """A load asked for while the interpreter ends raises nothing."""
    done = run(
        "import atexit\n"
        "from zeroret.tokens import vocabulary\n"
        "atexit.register(vocabulary.load_in_background, 'cl100k_base')\n"
        "class Late:\n"
        "    def __del__(self): vocabulary.load_in_background('cl100k_base')\n"
        "late = Late()\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
