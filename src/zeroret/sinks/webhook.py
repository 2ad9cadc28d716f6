"""Records to an HTTP endpoint: signed batches of JSON, each with an idempotency key.

Extra ``zeroret[webhook]``, by httpx. The signature follows Standard Webhooks
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from zeroret.errors import ConfigurationError, MissingExtraError, RecordRefusedError, SinkError
from zeroret.sinks.columns import Restriction
from zeroret.sinks.location import is_loopback
from zeroret.usage.record import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeroret.usage.record import UsageRecord

SECRET: Final = "ZERORET_WEBHOOK_SECRET"  # noqa: S105 - a variable's name
"""The environment variable that holds the secret, unless ``?secret_env=`` names another."""

_EXAMPLE: Final = "webhook+https://billing.internal/usage?secret_env=BILLING_SECRET"
_TIMEOUT: Final = 10.0
_PREFIX: Final = "whsec_"
_OK: Final = range(200, 300)
_REFUSED: Final = frozenset({400, 413, 422})
_LEAST_SECRET: Final = 16  # bytes


class WebhookSink:
    """Posts each batch as ``{"records": [...]}``; anything but a 2xx answer is sent again.

    The same batch has the same ``Idempotency-Key`` and ``webhook-id``: a receiver that ignores a
    key, or record ids, that it knows has every record once. An answer of 400, 413 or 422 refuses
    the batch: its records are tried one by one and put aside. Redirects are not followed. `write`
    raises `SinkError` for anything else that goes wrong.
    """

    def __init__(self, uri: str, *, columns: Iterable[str] | None = None) -> None:
        self._url, self._secret, self._place = _parsed(uri)
        self._restriction = Restriction(columns)
        self._client: Any = None
        self._pid = 0

    @staticmethod
    def check(uri: str) -> None:
        """Raise `ConfigurationError` if *uri* is no address, one without TLS, or has no secret.

        Raises `MissingExtraError` where httpx is not installed.
        """
        _httpx()
        _parsed(uri)

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Post the batch; return when the endpoint has taken it."""
        if not records:
            return
        body = b'{"records":[' + b",".join(map(encode, self._restriction.apply(records))) + b"]}"
        key = _batch_id(records)
        headers = {
            "content-type": "application/json",
            "idempotency-key": key,
            **signed(self._secret, key, int(time.time()), body),
        }
        httpx = _httpx()
        try:
            status = self._connected().post(self._url, content=body, headers=headers).status_code
        except (httpx.HTTPError, OSError) as error:
            raise SinkError(
                f"the webhook at {self._place} cannot be reached ({type(error).__name__}): "
                "check that it runs, the address and the certificate"
            ) from None
        if status in _REFUSED:
            raise RecordRefusedError(f"HTTP{status}")
        if status not in _OK:
            raise SinkError(f"the webhook at {self._place} answered {status}: {_meaning(status)}")

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()

    def _connected(self) -> Any:
        if self._client is None or self._pid != os.getpid():
            # What the environment says of proxies and .netrc is not asked: records go one way.
            self._client = _httpx().Client(
                timeout=_TIMEOUT, follow_redirects=False, trust_env=False
            )
            self._pid = os.getpid()
        return self._client


def signed(secret: bytes, identity: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign *body*: id, time in seconds and HMAC-SHA-256 in base64."""
    signature = hmac.digest(secret, b"%b.%d.%b" % (identity.encode(), timestamp, body), "sha256")
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(signature).decode(),
    }


def _batch_id(records: Sequence[UsageRecord]) -> str:
    """Return the id of a batch: the same for the same records, whatever their other columns."""
    ids = "\n".join(record.id for record in records)
    return "batch_" + hashlib.sha256(ids.encode()).hexdigest()[:40]


def _meaning(status: int) -> str:
    if status in {401, 403}:
        return "it does not accept the signature: check the secret on both sides"
    if 300 <= status < 400:  # noqa: PLR2004 - the redirects
        return "it redirects, which is not followed: write the final address"
    return "the records wait and are sent again"


def _parsed(uri: str) -> tuple[str, bytes, str]:
    """Return the endpoint's URL, the secret, and host and port for messages."""
    try:
        parts = urlsplit(uri)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        port = parts.port
    except ValueError:
        raise ConfigurationError(
            f"the webhook's URI cannot be read: write one like {_EXAMPLE}"
        ) from None
    scheme = parts.scheme.partition("+")[2]
    if not parts.hostname or parts.username is not None:
        raise ConfigurationError(
            f"the webhook needs a host, and no user or password: write one like {_EXAMPLE}"
        )
    if scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigurationError(
            "the webhook would send records to another machine without TLS: "
            f"write webhook+https://, as in {_EXAMPLE}"
        )
    variable = given.pop("secret_env", SECRET)
    url = urlunsplit((scheme, parts.netloc, parts.path or "/", urlencode(given), ""))
    place = parts.hostname if port is None else f"{parts.hostname}:{port}"
    return url, _secret(variable), place


def _secret(variable: str) -> bytes:
    text = os.environ.get(variable, "")
    try:
        encoded = text.removeprefix(_PREFIX)
        secret = base64.b64decode(encoded, validate=True) if encoded != text else text.encode()
    except ValueError:
        secret = b""
    if len(secret) < _LEAST_SECRET:
        raise ConfigurationError(
            f"the webhook's secret is read from the environment variable {variable}, which must "
            f"hold at least {_LEAST_SECRET} bytes ({_PREFIX}<base64>, or plain text); "
            "another variable can be named with ?secret_env="
        )
    return secret


def _httpx() -> Any:
    try:
        import httpx
    except ImportError:
        raise MissingExtraError("the webhook+https: sink", "webhook") from None
    return httpx
