"""Identifiers: what of a request's head an app's own authentication may keep."""

from __future__ import annotations

import pytest

from zeroret.content.identifiers import among

SESSION = "8s3kq0vv1l2m4n5p6q7r8s9t0u1v2w3x"


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        (b"cookie", f"a=1; sessionid={SESSION}; b=2", {SESSION}),
        (b"cookie", f'sessionid="{SESSION}"', {SESSION}),
        (
            b"cookie",
            f"session=s%3A{SESSION}.c2lnbmF0dXJlLW9mLWl0",
            {SESSION, f"s:{SESSION}.c2lnbmF0dXJlLW9mLWl0", "c2lnbmF0dXJlLW9mLWl0"},
        ),
        (b"authorization", f"Bearer {SESSION}", {SESSION}),
        (b"x-api-key", SESSION, {SESSION}),
        (b"cookie", "session=short", set()),
        (b"cookie", "prompt=a prompt with blanks in it", set()),
        (b"cookie", "prompt=a%20prompt%20with%20blanks%20in%20it", set()),
        (b"authorization", "Bearer " + "k" * 5000, set()),
        (b"x-other", SESSION, set()),
        (b"cookie", "", set()),
    ],
)
def test_what_is_taken_for_an_identifier(name: bytes, value: str, found: set[str]) -> None:
    """Credentials, cookies and the parts of signed ones; nothing short, and no prose."""
    assert among([(name, value.encode())]) == found


def test_the_number_is_bounded() -> None:
    """A head full of cookies costs no more than it should."""
    cookies = ";".join(f"c{number}=cookie-number-{number:06d}" for number in range(3000))
    assert len(among([(b"cookie", cookies.encode())])) <= 256
