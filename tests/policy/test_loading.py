"""Loading a policy: by name, by path, and what is said about one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.errors import ConfigurationError
from zeroret.policy import BUILTIN, Policy

HEAD = 'name = "small"\n'
USAGE = '[usage]\ncolumns = ["account"]\nkeep = "90 days"\n'


def message(folder: Path, text: str) -> str:
    """Return what loading *text* complains of."""
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        Policy.load(path)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


@pytest.mark.parametrize("name", BUILTIN)
def test_built_ins_load(name: str) -> None:
    """Each built-in loads under its own name and is a file of that name."""
    policy = Policy.load(name)
    assert policy.name == name
    assert policy.stamp == f"{name}@{policy.digest}"
    assert len(policy.digest) == 12


def test_built_ins_are_all_files() -> None:
    """Every TOML file beside the built-ins is one of them, and none is missing."""
    import zeroret.policy

    folder = Path(zeroret.policy.__file__).parent / "builtin"
    assert {path.stem for path in folder.glob("*.toml")} == set(BUILTIN)


def test_a_policy_loads_as_itself() -> None:
    """A policy is returned as it is."""
    policy = Policy.load("wallet")
    assert Policy.load(policy) is policy


def test_a_file_loads_by_str_and_path(tmp_path: Path) -> None:
    """A path is a `Path`, or a string that ends in .toml or has a separator."""
    path = tmp_path / "mine"
    path.write_text(HEAD + USAGE, encoding="utf-8")
    assert Policy.load(path) == Policy.load(str(path))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("crofia", "did you mean 'crofai'"),
        ("", "allowed: crofai, crouter, kriora, noorapi, usage-only, wallet"),
        ("none.toml", "cannot be read: No such file"),
        ("a\0/b", "cannot be read"),
        (3, "given int"),
        (None, "given NoneType"),
    ],
)
def test_other_sources_are_refused(source: object, says: str) -> None:
    """An unknown name lists the built-ins; an unreadable file says why."""
    with pytest.raises(ConfigurationError, match=says):
        Policy.load(source)  # type: ignore[arg-type]  # the wrong types are the point


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + USAGE.replace('"account"', '"status", "acount"'),
         "usage.columns[1]: given 'acount' (did you mean 'account'?); allowed: 'account', "),
        (HEAD + USAGE.replace('"account"', "3"), "usage.columns[0]: given 3; allowed: 'account'"),
        (HEAD + USAGE.replace('"account"', '"cost", "cost"'), "usage.columns: listed twice: cost"),
        (HEAD + USAGE.replace('["account"]', '"account"'), "given 'account'; allowed: a list"),
        (HEAD + USAGE.replace("90 days", "90 dayz"), "usage.keep: given '90 dayz'; allowed: a"),
        (HEAD + USAGE.replace('"90 days"', "90"), "usage.keep: given 90; allowed: a number"),
        (HEAD + USAGE + "keeps = 1", "unknown key (did you mean 'keep'?); allowed: columns, keep"),
        (HEAD + USAGE + "[sharng]", "sharng: unknown key (did you mean 'sharing'?); allowed: name"),
        (HEAD + USAGE + "[audit_log]\nscop = 1", "audit_log.scop: unknown key (did you mean"),
        (HEAD + USAGE + "[[apart]]\nfeilds = []", "apart[0].feilds: unknown key (did you mean 'fi"),
        (HEAD + USAGE + '[money]\nwallet = "yes"', "money.wallet: given 'yes'; allowed: true or"),
        (HEAD + USAGE + "[money]\nwallet = 1", "money.wallet: given 1; allowed: true or false"),
        (HEAD + USAGE + '[content]\ngrace = "2"', "content.grace: given '2'; allowed: a number"),
        (HEAD + USAGE + "[content]\ngrace = true", "content.grace: given True; allowed: a number"),
        (HEAD + USAGE + "[content]\ngrace = -1", "content.grace: given -1"),
        (HEAD + USAGE + "[content]\ngrace = nan", "content.grace: given nan"),
        (HEAD + USAGE + '[keys]\nstored = "md5"', "allowed: 'bcrypt', 'encrypted', 'hmac'"),
        (HEAD + USAGE + '[analytics]\nfrom_content = "ok"', "allowed: 'never'"),
        (HEAD + USAGE + '[sharing]\nparties = ["a\\nb"]', "sharing.parties[0]: given"),
        (HEAD + "usage = 3", "usage: given 3; allowed: a table"),
        (HEAD, "usage: missing"),
        (USAGE, "name: missing"),
        ('name = "Small"\n' + USAGE, "name: given 'Small'; allowed: text that matches ^[a-z0-9]"),
        ('name = "small\\n"\n' + USAGE, "name: given 'small\\n'"),
        ("x = 1", "3 things are wrong\n  name: missing\n  usage: missing\n  x: unknown key"),
        ("name = ", "not TOML: Invalid value"),
        (HEAD + "usage = [", "not TOML:"),
        (HEAD + "name = 'again'\n", "(at line 2, column 15)"),
        (HEAD + f"x = '{'y' * 500}'\n" + USAGE, "x: unknown key"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str) -> None:
    """A message names the file, the key path, what was given and what is allowed."""
    said = message(tmp_path, text)
    assert said.startswith(f"policy file {tmp_path / 'policy.toml'}: ")
    assert says in said


def test_long_values_are_cut(tmp_path: Path) -> None:
    """A long value is quoted by its beginning."""
    said = message(tmp_path, f'name = "{"N" * 500}"\n{USAGE}')
    assert len(said) < 500


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, and a file too long to be a policy, are errors of configuration."""
    path = tmp_path / "policy.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigurationError, match="not UTF-8 at byte 8"):
        Policy.load(path)
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(ConfigurationError, match="longer than"):
        Policy.load(path)
    path.write_bytes(b"x = " + b"[" * 100_000)
    with pytest.raises(ConfigurationError, match="not TOML"):
        Policy.load(path)


@given(st.text(max_size=40))
def test_any_name_loads_or_is_refused(name: str) -> None:
    """Whatever string is given, the answer is a policy or a `ConfigurationError`."""
    try:
        policy = Policy.load(name)
    except ConfigurationError:
        return
    assert policy.name == name
