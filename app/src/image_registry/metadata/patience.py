"""A connection to PostgreSQL that does not wait for ever.

The time for a statement is the server's to watch over. A server that is frozen - its node is paused, its disk hangs -
watches over nothing, while the kernel beneath it goes on acknowledging whatever is sent, so that no timeout of TCP ends
the wait either. One after the other every thread would ask, and stay.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection, OperationalError
from psycopg.errors import _WaitTimeout


class PatientConnection(Connection[Any]):
    """Closes itself when there is no answer for ``patience`` seconds."""

    patience = 0.0
    """0 for no end."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """See :meth:`psycopg.Connection.wait`."""
        if timeout is not None or not self.patience:
            return super().wait(gen, interval, timeout)
        patience = self.patience
        try:
            return super().wait(gen, interval, patience)
        except _WaitTimeout as error:
            self.close()  # what is under way here will never be known
            raise OperationalError(f"no answer for {patience:g} seconds") from error
