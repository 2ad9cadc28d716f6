"""What a client of the promise sends: a canary of its own in each field of each call."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Final

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from zeroret.cli.demo.calls import canary

PATIENCE: Final = 30.0
UPLOAD: Final = 3 * 2**20
CHATS: Final = ("chat", "stream", "refuse", "crash", "timeout", "break")
UNSTABLE: Final = frozenset({"date", "server", "keep-alive", "connection", "transfer-encoding"})
"""Headers that servers make by themselves: times, names, and how they end a connection."""

Answer = Any
"""What came back of a call: status, headers and body, or what a websocket said."""


@dataclass
class Call:
    """A call by name, with canaries made as they are asked for, once."""

    name: str
    planted: dict[str, str] = field(default_factory=dict)

    @classmethod
    def all(cls) -> dict[str, Call]:
        """Return the calls of one client, none of which has a canary yet."""
        return {}

    def __getitem__(self, place: str) -> str:
        return self.planted.setdefault(place, canary())

    def headers(self) -> dict[str, str]:
        """Return headers with canaries in all that clients choose."""
        basic = base64.b64encode(f"{self['user name']}:{self['password']}".encode()).decode()
        return {
            "Authorization": f"Basic {basic}",
            "Cookie": f"session={self['cookie']}",
            "User-Agent": f"client/1.0 ({self['agent']})",
            "Referer": f"https://{self['referer']}.example/",
            "X-Request-Id": self["request id"],
            "Idempotency-Key": self["idempotency key"],
            "X-Forwarded-For": self["forwarded for"],
            "X-Note": self["header"],
            f"X-{self['header name']}": "1",
        }

    def path(self, act: str) -> str:
        """Return the path of a chat, with canaries in it and its query."""
        return f"/{act}/{self['path']}/v1/chat/completions?{self.query()}"

    def query(self) -> str:
        """Return a query with canaries."""
        return f"q={self['query']}&{self['query key']}=1"

    def body(self) -> dict[str, Any]:
        """Return a chat with canaries in every field that a client chooses."""
        function = {"name": self["tool"], "arguments": json.dumps({"code": self["arguments"]})}
        use = [{"id": "call_0", "type": "function", "function": function}]
        return {
            "model": self["model"],
            "user": self["user"],
            "metadata": {"case": self["metadata"]},
            self["key"]: 1,
            "tools": [{"type": "function", "function": {"name": self["tool"]}}],
            "messages": [
                {"role": "system", "content": f"You advise {self['system prompt']}."},
                {"role": "assistant", "content": None, "tool_calls": use},
                {"role": "tool", "tool_call_id": "call_0", "content": self["tool result"]},
                {"role": "user", "content": f"I am ill with \u00e9{self['prompt']}, and now?"},
            ],
        }


class Client:
    """Makes every call of the promise, to one server.

    Args:
        port: Where the server listens.
        calls: The calls by name: two servers get the same if they are given the same.
    """

    def __init__(self, port: int, calls: dict[str, Call]) -> None:
        self._port = port
        self._calls = calls

    def everything(self, *, websockets: bool) -> dict[str, Answer]:
        """Make every call; return the answers by the calls' names."""
        answers: dict[str, Answer] = {}
        for name in CHATS:
            call = self._call(name)
            answers[name] = self._chat(call, name)
        call = self._call("missing")
        answers["missing"] = self._send(call, "GET", f"/none/{call['path']}?{call.query()}")
        call = self._call("method")
        answers["method"] = self._send(call, "PUT", f"/upload/{call['path']}?{call.query()}")
        call = self._call("no JSON")
        answers["no JSON"] = self._send(
            call, "POST", call.path("chat"), f'{{"prompt": "{call["prompt"]}", '.encode()
        )
        call = self._call("no UTF-8")
        raw = json.dumps(call.body()).encode()[:-1] + b', "x": "\xff"}'
        answers["no UTF-8"] = self._send(call, "POST", call.path("chat"), raw)
        call = self._call("invalid")
        invalid = {**call.body(), "temperature": call["temperature"]}
        answers["invalid"] = self._send(
            call, "POST", call.path("chat"), json.dumps(invalid).encode()
        )
        for name in ("upload", "upload.boom"):
            answers[name] = self._upload(self._call(name))
        self._malformed(self._call("malformed"))
        self._leave(self._call("endless"), "endless", 3)
        self._leave(self._call("hold"), "hold", 0)
        self._leave_early(self._call("half a body"))
        if websockets:
            for name in ("talk", "talk crash", "talk left"):
                answers[name] = self._talk(self._call(name))
        return answers

    def die(self) -> None:
        """Have the worker killed in the middle of an exchange."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._chat(self._call("die"), "die")

    def flush(self) -> None:
        """Have the server's trackers send what they hold."""
        status, _, _ = self._send(None, "GET", "/flush")
        assert status == 200

    def _call(self, name: str) -> Call:
        return self._calls.setdefault(name, Call(name))

    def _chat(self, call: Call, act: str) -> Answer:
        return self._send(call, "POST", call.path(act), json.dumps(call.body()).encode())

    def _upload(self, call: Call) -> Answer:
        end = ".boom" if call.name.endswith(".boom") else ".txt"
        head = f'Content-Disposition: form-data; name="file"; filename="{call["file name"]}{end}"'
        content = call["file"].encode().ljust(UPLOAD, b".") + call["end of file"].encode()
        edge = call["boundary"]
        body = f"--{edge}\r\n{head}\r\nContent-Type: text/plain\r\n\r\n".encode()
        body += content + f"\r\n--{edge}--\r\n".encode()
        kind = f"multipart/form-data; boundary={edge}"
        return self._send(call, "POST", f"/upload/{call['path']}?{call.query()}", body, kind)

    def _send(
        self,
        call: Call | None,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = "application/json",
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        headers = {"Connection": "close", "Content-Type": kind}
        with contextlib.closing(connection):
            connection.request(method, path, body, headers | (call.headers() if call else {}))
            response = connection.getresponse()
            try:
                content = response.read()
            except http.client.IncompleteRead as error:
                content = error.partial + b" and no end"
        kept = [(name.lower(), value) for name, value in response.getheaders()]
        return response.status, sorted(each for each in kept if each[0] not in UNSTABLE), content

    def _raw(self, call: Call, act: str, body: bytes, length: int) -> bytes:
        lines = [f"POST {call.path(act)} HTTP/1.1", "Host: t", f"Content-Length: {length}"]
        lines += ["Content-Type: application/json", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in call.headers().items()]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def _leave(self, call: Call, act: str, chunks: int) -> None:
        """Send a chat, read so many pieces of the answer, and hang up."""
        body = json.dumps(call.body()).encode()
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as connection:
            connection.sendall(self._raw(call, act, body, len(body)))
            for _ in range(chunks):
                connection.recv(4096)
            time.sleep(0.1)

    def _leave_early(self, call: Call) -> None:
        """Hang up in the middle of a body."""
        body = json.dumps(call.body()).encode()
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as connection:
            connection.sendall(self._raw(call, "chat", body, len(body) + 1000))
            time.sleep(0.1)

    def _malformed(self, call: Call) -> None:
        """Send heads that no server takes."""
        for head in (
            f"GET /{call['path']} and {call['line']} HTTP/1.1\r\nHost: a\r\n\r\n",
            f"{call['method']} / HTTP/1.1\r\nHost: a\r\n\r\n",
            f"GET / HTTP/{call['version']}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: a\r\nX {call['header name']}: 1\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {call['length']}\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as connection:
                connection.sendall(head.encode())
                connection.settimeout(0.2)
                with contextlib.suppress(OSError):
                    while connection.recv(4096):
                        pass

    def _talk(self, call: Call) -> Answer:
        said: list[object] = []
        headers = call.headers()
        agent = headers.pop("User-Agent")
        try:
            with connect(
                f"ws://127.0.0.1:{self._port}/talk/{call['path']}?{call.query()}",
                additional_headers=headers,
                user_agent_header=agent,
                proxy=None,
                open_timeout=PATIENCE,
                close_timeout=2,
            ) as talk:
                talk.send(f"hello {call['message']}")
                said.append(talk.recv(PATIENCE))
                if call.name == "talk crash":
                    talk.send(f"crash {call['last message']}")
                    said.append(talk.recv(PATIENCE))
                if call.name == "talk left":
                    talk.socket.close()
        except (ConnectionClosed, OSError) as error:
            said.append(type(error).__name__)
        return said
