"""botocore (boto3): a refusal passes its retries and reaches the caller as it is."""

from __future__ import annotations

from typing import Any

from zeroret.guards.network import PATCHES, is_judged
from zeroret.guards.surfacing import surfacing


def watch(_module: Any) -> None:
    """Have refusals pass every call of a client; the requests themselves go through urllib3."""
    from botocore import client

    PATCHES.replace(client.BaseClient, "_make_api_call", surfacing(is_judged))
