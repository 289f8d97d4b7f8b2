"""The body of a request from the socket into the memory of whoever wants it, without a copy in between.

gunicorn's reader copies each byte four times, which is most of what a large push costs in this process. Its account of
what is left of the body is kept, so the connection goes on as if it had read itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gunicorn.http.body import LengthReader  # type: ignore[import-untyped]


def straight(environ: dict[str, Any]) -> Callable[..., int] | None:
    """A function that receives some bytes of this body, none at its end; ``None`` for a body of unknown length.

    Who uses it reads the body in no other way, and may say for how many seconds to wait for the first of these bytes.
    """
    body, connection = environ.get("wsgi.input"), environ.get("gunicorn.socket")
    reader = getattr(body, "reader", None)
    if body is None or connection is None or not isinstance(reader, LengthReader):
        return None

    def receive(view: memoryview, patience: float | None = None) -> int:
        body.read(0)  # a client that waits for a word is told to go on
        view = view[: reader.length]
        if not view:
            return 0
        early = reader.unreader.take_buffered()
        if early:
            taken = len(early[: len(view)])
            view[:taken] = early[:taken]
            if early[taken:]:
                reader.unreader.unread(early[taken:])
        elif patience is None:
            taken = connection.recv_into(view)
        else:
            usual = connection.gettimeout()
            connection.settimeout(patience)
            try:
                taken = connection.recv_into(view)
            finally:
                connection.settimeout(usual)
        reader.length -= taken
        return taken

    return receive
