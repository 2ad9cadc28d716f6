"""The model of a policy: digest, columns and the contradictions it refuses."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, get_args

import pytest
from pydantic import ValidationError

from zeroret.errors import ConfigurationError
from zeroret.policy import BUILTIN, Policy
from zeroret.policy.terms import ALWAYS, GROUPS, Column
from zeroret.usage import record

if TYPE_CHECKING:
    from pathlib import Path

SMALL = 'name = "small"\n[usage]\ncolumns = ["account", "models"]\nkeep = "90 days"\n'

DEVICES = '[[apart]]\nname = "s"\npurpose = "security"\nfields = ["device"]\nkeep = "1 day"\n'


def load(folder: Path, text: str) -> Policy:
    """Load the policy that *text* states."""
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return Policy.load(path)


def test_columns_are_the_records() -> None:
    """The column names a policy may list are exactly the fields of a usage record."""
    assert set(get_args(Column)) == set(record.COLUMNS)
    assert record.ALWAYS == ALWAYS
    assert GROUPS["token_counts"] == record.TOKEN_COLUMNS


def test_groups_are_spelled_out(tmp_path: Path) -> None:
    """A group word stands for its columns, and every row has its three."""
    assert load(tmp_path, SMALL).columns == {
        "account", "request_model", "response_model", "id", "policy", "usage_source",
    }  # fmt: skip


def test_nothing_changes_a_policy() -> None:
    """A policy and its clauses are frozen."""
    policy = Policy.load("usage-only")
    with pytest.raises(ValidationError):
        policy.name = "other"
    with pytest.raises(ValidationError):
        policy.usage.deletion = "automatic"


def test_digest_ignores_form(tmp_path: Path) -> None:
    """Order of keys and lists, comments, and defaults written out do not change the digest."""
    other = (
        '# a comment\n[usage]\nkeep = "90 days" # another\ncolumns = ["models", "account"]\n'
        'deletion = "by command"\n[content]\ngrace = 2\n'
    )
    text = other.replace("[usage]", 'name = "small"\n[usage]', 1)
    assert load(tmp_path, SMALL).digest == load(tmp_path, text).digest


@pytest.mark.parametrize(
    "change",
    [('"90 days"', '"91 days"'), ('"models"', '"request_model"'), ('"small"', '"smaller"'),
     ("[usage]", "[content]\ngrace = 0\n[usage]")],
)  # fmt: skip
def test_digest_follows_promises(tmp_path: Path, change: tuple[str, str]) -> None:
    """Another promise is another digest."""
    assert load(tmp_path, SMALL).digest != load(tmp_path, SMALL.replace(*change)).digest


def test_digests_are_pinned() -> None:
    """A built-in's digest stands on rows already written: it changes only with a promise."""
    stamps = {Policy.load(name).stamp for name in BUILTIN}
    assert stamps == {
        "crofai@5ef81a2400b6",
        "crouter@4a2e6acf542d",
        "kriora@ee72ceb22aee",
        "noorapi@0a8053d44a7e",
        "usage-only@869de8ae9417",
        "wallet@1bc19dc603d0",
    }


def test_digest_survives_shuffled_files(tmp_path: Path) -> None:
    """Any order of the tables of a file gives one digest."""
    tables = ["[content]\ngrace = 0\n", '[keys]\nstored = "bcrypt"\n', "[money]\nwallet = true\n"]
    digests = set()
    for seed in range(6):
        random.Random(seed).shuffle(tables)  # noqa: S311 - an order, not a secret
        digests.add(load(tmp_path, SMALL + "".join(tables)).digest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("clause", "says"),
    [
        ('[content]\nnever_kept = ["passwords"]\n[account]\ndata = ["hashed password"]',
         "hashed password"),
        ('[content]\nnever_kept = ["personal data beyond e-mail"]\n[account]\ndata = ["name"]',
         "keeps: name"),
        ('[content]\nnever_kept = ["personal data beyond e-mail"]\n' + DEVICES, "keeps: device"),
        ('[keys]\nstored = "sha256"\nshown = "on request"', "keys: shown"),
        ("[money]\ntop_ups = true", "money: top_ups"),
        ('[[apart]]\nname = "s"\npurpose = "capacity"\nfields = ["key_id"]\nkeep = "1 day"',
         r"apart\[0\]: fields name an account"),
        (2 * '[[apart]]\nname = "s"\npurpose = "capacity"\nfields = ["cost"]\nkeep = "1 day"\n',
         "one name"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(tmp_path: Path, clause: str, says: str) -> None:
    """Two promises that cannot both be kept are an error which names them."""
    with pytest.raises(ConfigurationError, match=says):
        load(tmp_path, f"{SMALL}{clause}\n")


@pytest.mark.parametrize("name", BUILTIN)
def test_json_round_trips(name: str) -> None:
    """A policy written as JSON reads back as the same policy with the same digest."""
    policy = Policy.load(name)
    again = Policy.model_validate_json(policy.model_dump_json())
    assert again == policy
    assert again.stamp == policy.stamp


def test_the_schema_is_closed() -> None:
    """The JSON schema of a policy, for editors, allows no unknown key anywhere."""
    schema = Policy.model_json_schema()
    tables = [schema, *schema["$defs"].values()]
    assert len(tables) == 15
    assert all(table["additionalProperties"] is False for table in tables)


def test_apart_spells_out_groups() -> None:
    """A collection beside the usage rows names its columns as a row does."""
    totals = {part.name: part for part in Policy.load("crofai").apart}["hourly-totals"]
    assert totals.columns == {*GROUPS["models"], *GROUPS["token_counts"]}
