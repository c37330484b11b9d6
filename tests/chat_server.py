"""
A chat's web server on this machine, in a thread of its own.

It keeps what was posted. `script` says what it does instead of taking it.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

if TYPE_CHECKING:
    from email.message import Message

SECRET = "T0000-B0000-s3cret"
_IDLE_SECONDS = 120.0


class Answer:
    """What the server does: answers so, resets, or says nothing."""

    def __init__(
        self, status: int = 200, body: bytes = b"ok", **headers: str
    ) -> None:
        self.status = status
        self.body = body
        self.headers = {
            name.replace("_", "-"): value for name, value in headers.items()
        }


TAKEN = Answer()
RESET = Answer(0)
HANG = Answer(-1)
NONSENSE = Answer(-2)
SHORT = Answer(-3)


class ChatServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self) -> None:
        self.script = TAKEN
        self.posted: list[tuple[str, Message, bytes]] = []
        self.paths: list[str] = []
        self.over = threading.Event()
        self._asked_at = time.monotonic()
        super().__init__(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), daemon=True
        )

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def webhook(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/{SECRET}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def messages(self) -> list[dict[str, Any]]:
        """Return the JSON of what was taken."""
        return [json.loads(body) for _, _, body in self.posted]

    @override
    def service_actions(self) -> None:
        # It stops by itself if a test forgets it.
        if time.monotonic() - self._asked_at > _IDLE_SECONDS:
            self._asked_at = float("inf")
            threading.Thread(target=self.shutdown, daemon=True).start()

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def _do(self) -> None:
        server = cast("ChatServer", self.server)
        server.paths.append(f"{self.command} {self.path}")
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        script = server.script
        self.close_connection = True
        if script is HANG:
            server.over.wait(60)
        elif script is RESET:
            # Closed at once and unread, it is a reset and no end of file.
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            self.connection.close()
        elif script is NONSENSE:
            self.wfile.write(b"220 mail.firm.example ESMTP\r\n")
        elif script is SHORT:
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
        else:
            if script.status == 200:
                server.posted.append((self.path, self.headers, body))
            self.send_response(script.status)
            for name, value in script.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(script.body)))
            self.end_headers()
            self.wfile.write(script.body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
