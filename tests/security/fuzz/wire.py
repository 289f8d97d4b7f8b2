"""Bytes out, answers in: with a clock, and without any belief that the other side keeps to HTTP."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field


class Broken(Exception):
    """The server sent something that is no answer, or nothing in time; the text says what."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is empty for HEAD."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    closes: bool = False


def connect(host: str, patience: float) -> socket.socket:
    """A connection. Raises :class:`Broken` if the server does not take it."""
    address, _, port = host.rpartition(":")
    try:
        return socket.create_connection((address, int(port)), timeout=patience)
    except OSError as error:
        raise Broken(f"the server takes no connection: {error}") from None


def exchange(connection: socket.socket, raw: bytes, method: str) -> Answer | None:
    """Send one request and read its answer; ``None`` if the server hung up before one."""
    began = time.monotonic()
    with suppress(OSError):  # it may have answered and hung up before everything was sent
        connection.sendall(raw)
    while True:
        response = http.client.HTTPResponse(connection, method=method)
        try:
            response.begin()
            body = response.read()
        except (ConnectionError, http.client.RemoteDisconnected):
            return None
        except TimeoutError:
            raise Broken(f"no answer within {connection.gettimeout()} s") from None
        except (http.client.HTTPException, ValueError) as error:
            raise Broken(f"what came is no answer: {error!r}") from None
        if response.status >= 200:
            break
    seconds = time.monotonic() - began
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, headers, body, seconds, response.will_close)


def throw(host: str, raw: bytes, patience: float, *, ends: bool) -> list[int]:
    """Send bytes on a connection of their own; statuses of everything that looks like an answer.

    ``ends`` says that nothing more will be sent; without it the server is left waiting, and we do not.
    """
    with connect(host, patience) as connection:
        received = b""
        try:
            connection.sendall(raw)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            else:
                connection.settimeout(0.05)
            while part := connection.recv(65536):
                received += part
        except TimeoutError:
            if ends:
                raise Broken(f"the connection was not ended within {patience} s") from None
        except OSError:
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([1-5]\d\d) [A-Z]", received)]


def is_refusal(answer: Answer) -> bool:
    """Whether the body of an answer is an OCI error."""
    try:
        [error] = json.loads(answer.body)["errors"]
    except (ValueError, KeyError, TypeError):
        return False
    return bool(error.get("code")) and bool(error.get("message"))
