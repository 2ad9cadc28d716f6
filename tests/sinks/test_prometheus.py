"""Prometheus: scraped from a real endpoint, over several processes, and checked by promtool."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from services import free_port
from zeroret import ZeroRetention
from zeroret.errors import ConfigurationError, SinkError
from zeroret.sinks.prometheus import PrometheusSink
from zeroret.usage.record import UsageRecord

MakeRecord = Callable[..., UsageRecord]


def scraped(port: int) -> str:
    """Return the exposition."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def record(make: MakeRecord, number: int) -> UsageRecord:
    """Return the record of a chat."""
    return make(
        number,
        dialect="openai.chat",
        request_model="gpt-4o",
        response_model=None,
        route="/v1/chat/completions",
        outcome="completed",
        usage_source="reported",
        input_tokens=10,
        output_tokens=0,
        duration=0.5,
        account="acme",
    )


def test_an_endpoint_is_served(make: MakeRecord) -> None:
    """Sums are right, what comes twice counts once, and nobody is named."""
    port = free_port()
    sink = PrometheusSink(f"prometheus://127.0.0.1:{port}")
    sink.write([record(make, 1), record(make, 2)])
    sink.write([record(make, 2)])
    text = scraped(port)
    labels = 'dialect="openai.chat",model="gpt-4o",usage_source="reported"'
    assert f"zeroret_input_tokens_total{{{labels}}} 20.0" in text
    assert f"zeroret_output_tokens_total{{{labels}}} 0.0" in text
    assert (
        'zeroret_exchanges_total{dialect="openai.chat",model="gpt-4o",outcome="completed",'
        'route="/v1/chat/completions",usage_source="reported"} 2.0' in text
    )
    assert 'zeroret_duration_seconds_bucket{dialect="openai.chat",le="0.64"' in text
    assert "acme" not in text
    sink.close()
    sink.write([record(make, 3)])  # opened again
    assert "zeroret_input_tokens_total" in scraped(port)
    sink.close()


def test_health_is_shown() -> None:
    """Lag, retries, shed and dead counts are scraped with the rest."""
    port = free_port()
    uri = f"prometheus://127.0.0.1:{port}"
    with ZeroRetention("usage-only", [uri], journal="memory") as runtime:
        runtime.journal.append(UsageRecord(id="0190a1b2-0000-7000-8000-000000000001", policy="p@1"))
        assert runtime.flush(30)
        text = scraped(port)
    for name in ("journal_shed_total", "journal_dead_total", "delivery_lag_seconds"):
        assert f"zeroret_{name}" in text


def test_promtool_is_content(make: MakeRecord) -> None:
    """The exposition passes promtool's check, where it is installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    port = free_port()
    with ZeroRetention(
        "usage-only", [f"prometheus://127.0.0.1:{port}"], journal="memory"
    ) as runtime:
        runtime.journal.append(record(make, 1))
        assert runtime.flush(30)
        text = scraped(port)
    # What the client library says of its own process is not ours.
    own = [line for line in text.splitlines() if "zeroret_" in line]
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input="\n".join(own) + "\n",
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


WORKER = """
import sys
from zeroret.sinks.prometheus import PrometheusSink
from zeroret.usage.record import UsageRecord

sink = PrometheusSink("prometheus://127.0.0.1:" + sys.argv[1])
identity = "0190a1b2-0000-7000-8000-" + sys.argv[2].rjust(12, "0")
sink.write([UsageRecord(id=identity, policy="p@1", dialect="openai.chat", input_tokens=7)])
print("ready", flush=True)
sys.stdin.read()
"""


def test_workers_are_served_together(tmp_path: Path) -> None:
    """With a folder for several processes, one endpoint shows the sums of all."""
    port = free_port()
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(port), str(number)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        text = scraped(port)
    finally:
        for worker in workers:
            worker.communicate(timeout=30)
    (line,) = [each for each in text.splitlines() if each.startswith("zeroret_input_tokens_total{")]
    assert line.endswith(" 21.0")


def test_a_port_that_is_taken_is_a_sentence(make: MakeRecord) -> None:
    """A second process without the folder is told how to go on."""
    port = free_port()
    first, second = (PrometheusSink(f"prometheus://127.0.0.1:{port}") for _ in range(2))
    first.write([record(make, 1)])
    with pytest.raises(SinkError, match="PROMETHEUS_MULTIPROC_DIR"):
        second.write([record(make, 1)])
    first.close()
    second.close()


@pytest.mark.parametrize(
    "uri",
    [
        "prometheus://127.0.0.1",
        "prometheus://:9464",
        "prometheus://127.0.0.1:9464/metrics",
        "prometheus://h:99999999",
    ],
)
def test_mistakes_are_told(uri: str) -> None:
    """An address that is none is refused when the runtime is made."""
    with pytest.raises(ConfigurationError, match="takes a host and a port"):
        PrometheusSink.check(uri)
    PrometheusSink.check("prometheus:")
