"""Serves ordinary requests the short way: no clocks, hooks and lines of a log that nobody reads.

What gunicorn promises for a request holds here too: a connection ends with the worker, with too many idle ones beside
it, and with an answer that broke off.
"""

from __future__ import annotations

from typing import Any

from gunicorn import util  # type: ignore[import-untyped]

from image_registry.server.peer import remember_headers
from image_registry.server.plain_answer import Environs, PlainAnswer
from image_registry.server.plain_request import PlainRequest
from image_registry.server.worker import PATIENCE, PatientWorker, errand


class PlainWorker(PatientWorker):
    """Everything but ordinary requests is served as before."""

    def init_process(self) -> None:
        self._environs = Environs(self.cfg)
        super().init_process()

    def handle_request(self, req: Any, conn: Any) -> Any:
        if not (isinstance(req, PlainRequest) and req.plain and isinstance(conn.client, tuple)):
            return super().handle_request(req, conn)
        conn.sock.settimeout(PATIENCE)
        if errand(conn):
            req.must_close = True
        remember_headers(self, req)
        answer = PlainAnswer(req, conn.sock, self.cfg)
        if not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            answer.force_close()
        environ = self._environs.of(req, conn)
        try:
            body = self.wsgi(environ, answer.start_response)
            try:
                if isinstance(body, environ["wsgi.file_wrapper"]):
                    answer.write_file(body)
                else:
                    for part in body:
                        answer.write(part)
                answer.close()
            finally:
                if hasattr(body, "close"):
                    body.close()
        except OSError:
            raise
        except (Exception, SystemExit):
            if not answer.headers_sent:
                raise
            self.log.exception("failed in the middle of an answer")
            util.close_graceful(conn.sock)
            raise StopIteration from None
        return not answer.should_close()
