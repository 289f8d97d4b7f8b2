"""The bucket of a legacy registry, on a real S3 server with a certificate that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.certificates import make_certificates
from tests.operator.conftest import free_port
from tests.stores.servers import BUCKET, program, running


@contextmanager
def bucket(folder: Path) -> Iterator[str]:
    """versitygw on a folder of ``folder``, with the credentials that the objects of the variant have; its address."""
    (folder / "s3" / BUCKET).mkdir(parents=True)
    (folder / "s3-certificates").mkdir()
    made = make_certificates(folder / "s3-certificates")
    host = f"127.0.0.1:{free_port()}"
    options = ["--port", host, "--keep-alive", "--cert", str(made.certificate), "--key", str(made.key)]
    command = [program("versitygw"), *options, "posix", str(folder / "s3")]
    keys = {"ROOT_ACCESS_KEY": "legacy-access", "ROOT_SECRET_KEY": "legacy-secret-key"}
    with running(command, host, folder / "s3.log", **keys):
        yield host
