"""What is read the short way is what gunicorn would have read, and what is answered is what it would have sent."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]
from gunicorn.http import wsgi  # type: ignore[import-untyped]
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.unreader import IterUnreader  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from image_registry.server.plain_answer import ORDINARY, Environs, PlainAnswer
from image_registry.server.plain_request import LONGEST, MOST, PlainParser, PlainRequest

PEER = ("127.0.0.1", 4711)
START = b"PUT /v2/team/app/blobs/uploads/4f2a-1?digest=sha256%3Aab&x=//y HTTP/1.1\r\n"
HOST = b"Host: registry.test:5000\r\n"
USUAL = (
    START + HOST + b"User-Agent: client/1 (a; b)\r\nAccept:  a/b, */* \r\nAuthorization: Bearer x.y.z\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Length: 5\r\nconnection: Keep-Alive\r\nX-Empty:\r\n\r\nhello"
)


def config() -> Config:
    made = Config()
    made.set("forwarded_allow_ips", "")
    made.set("secure_scheme_headers", {})
    made.set("http_parser", "python")
    return made


CONFIG = config()


def read(kind: type[Request], data: bytes) -> Any:
    """A request, from bytes that have arrived already."""
    unreader = IterUnreader(iter([]))
    unreader.unread(data)
    return kind(CONFIG, unreader, PEER)


def seen(request: Any) -> dict[str, Any]:
    """All that anybody asks of a request, its body last."""
    names = "method uri path query fragment version headers trailers scheme must_close peer_addr remote_addr"
    return {
        **{name: getattr(request, name) for name in names.split()},
        "closes": request.should_close(),
        "continue": request._expected_100_continue,
        "body": request.body.read(),
        "rest": request.unreader.take_buffered(),
    }


class Connection:
    def __init__(self) -> None:
        self.sock, self.client, self.server = Recorder(), PEER, ("127.0.0.1", 5000)


class Recorder:
    """The socket of an answer."""

    def __init__(self) -> None:
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        self.sent += data


@pytest.mark.parametrize(
    "data",
    [
        USUAL,
        USUAL + b"GET /v2/ HTTP/1.1\r\n",
        b"POST /v2/team/app/blobs/uploads/ HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n",
        b"HEAD /v2/team/app/blobs/sha256:ab HTTP/1.1\r\n" + HOST + b"X-B3-TraceId: 1\r\n\r\n",
        b"GET /v2/?n=1?m=2 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"DELETE /v2/team/app//x HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
def test_ordinary_requests_are_read_as_gunicorn_reads_them(data: bytes) -> None:
    plain = read(PlainRequest, data)
    assert plain.plain
    assert seen(plain) == seen(read(Request, data))


@pytest.mark.parametrize(
    "data",
    [
        START + b"\r\n",
        START + HOST + HOST + b"\r\n",
        START + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        START + HOST + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        START + HOST + b"Connection: close\r\n\r\n",
        START + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        START + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        START + HOST + b"Accept: a\r\naccept: b\r\n\r\n",
        START + HOST + b"Accept: caf\xc3\xa9\r\n\r\n",
        START + HOST + b"Accept: a\tb\r\n\r\n",
        START.replace(b"1.1", b"1.0") + HOST + b"\r\n",
        START.replace(b"app", b"a%70p") + HOST + b"\r\n",
        START.replace(b"//y", b"#y") + HOST + b"\r\n",
        START + HOST + b"".join(b"X-%d: 1\r\n" % number for number in range(MOST)) + b"\r\n",
        START + HOST + b"Accept: " + b"a" * LONGEST + b"\r\n\r\n",
        b"OPTIONS /v2/ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
def test_anything_else_is_read_by_gunicorn(data: bytes) -> None:
    with suppress(ParseException):
        assert not read(PlainRequest, data).plain


@pytest.mark.parametrize(
    "data",
    [
        START + HOST + b"Content-Length: -1\r\n\r\n",
        START + HOST + b"Content-Length: 1_0\r\n\r\n",
        START + HOST + b"Content-Length: \xb2\r\n\r\n",
        START + HOST + b"X_Forwarded_For: 1\r\n\r\n",
        START + HOST + b"Accept : a\r\n\r\n",
        START + HOST + b"Accept: a\r\n b\r\n\r\n",
        START + HOST + b"Accept: a\x00\r\n\r\n",
        START + HOST + b"Accept: a\rb\r\n\r\n",
    ],
)
def test_what_gunicorn_refuses_is_refused(data: bytes) -> None:
    try:
        dropped = read(Request, data).headers
    except ParseException as error:
        with pytest.raises(type(error)):
            read(PlainRequest, data)
    else:  # a name that nobody may send is not passed on
        assert read(PlainRequest, data).headers == dropped


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_changed_byte_makes_no_difference_between_the_two(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(USUAL) - 1))
    new = data.draw(st.binary(max_size=3))
    changed = USUAL[:at] + new + USUAL[at + data.draw(st.integers(0, 3)) :]
    try:
        expected = seen(read(Request, changed))
    except (ParseException, StopIteration, OSError, ValueError) as error:
        with pytest.raises(type(error)):
            seen(read(PlainRequest, changed))
    else:
        assert seen(read(PlainRequest, changed)) == expected


def test_the_application_is_told_what_gunicorn_tells() -> None:
    connection = Connection()
    request = read(Request, USUAL)
    _, expected = wsgi.create(request, connection.sock, connection.client, connection.server, CONFIG)
    plain = read(PlainRequest, USUAL)
    told = Environs(CONFIG).of(plain, connection)
    for environ in (expected, told):
        assert environ.pop("wsgi.input").read() == b"hello"
        environ.pop("wsgi.errors")
        environ.pop("wsgi.early_hints", None)
        environ.pop("wsgi.multithread")
    assert told == expected


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        ("201 CREATED", [(name, "some value; x=1") for name in sorted(ORDINARY)] + [("Content-Length", "0")], []),
        ("202 ACCEPTED", [("Location", "/v2/a/b/blobs/uploads/1"), ("Range", ""), ("Content-Length", "0")], []),
        ("404 NOT FOUND", [("Content-Type", "application/json"), ("Content-Length", "2")], [b"{", b"}"]),
        ("204 NO CONTENT", [("Content-Length", "0")], []),
        ("200 OK", [("Content-Type", "text/plain")], [b"of unknown ", b"length"]),
        ("200 OK", [("Connection", "close"), ("Location", " a "), ("Content-Length", "0")], []),
        ("200 OK", [("X-Other", "caf\xe9"), ("Content-Length", "0")], []),
    ],
)
@pytest.mark.parametrize("closes", [False, True])
def test_an_answer_is_the_one_that_gunicorn_sends(
    status: str, headers: list[tuple[str, str]], body: list[bytes], *, closes: bool
) -> None:
    sent = []
    for kind in (wsgi.Response, PlainAnswer):
        recorder = Recorder()
        answer = kind(read(PlainRequest, USUAL), recorder, CONFIG)
        if closes:
            answer.force_close()
        answer.start_response(status, list(headers))
        for part in body:
            answer.write(part)
        answer.close()
        sent.append([line for line in recorder.sent.split(b"\r\n") if not line.startswith(b"Date: ")])
        assert b"\r\nDate: " in recorder.sent
    assert sent[0] == sent[1]


@pytest.mark.parametrize("value", ["a\r\nX-Forged: 1", "a\nb", "a\x00b", "\u2603"])
def test_no_value_of_a_header_begins_another(value: str) -> None:
    answer = PlainAnswer(read(PlainRequest, USUAL), Recorder(), CONFIG)
    with pytest.raises(Exception, match="Location"):
        answer.start_response("200 OK", [("Location", value)])


def test_requests_of_a_connection_follow_each_other_and_an_unread_body_is_skipped() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        parser = PlainParser(CONFIG, ours, PEER)
        parser.unreader.unread(USUAL + USUAL[:-2])
        theirs.sendall(b"lo" + USUAL)
        for _ in range(2):
            assert next(parser).plain
        assert next(parser).body.read() == b"hello"
        assert parser.finish_body(deadline=0.0)
