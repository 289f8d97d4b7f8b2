"""OpenStack Swift on one machine: a proxy and one account, container and object server, all in this process.

The servers are Swift's own; what is ours is the memory that keeps its tokens, in place of memcached, and the rings,
which have one device. Runs in the environment that `lab/lab build swift` makes, not in that of the registry.

usage: serve.py FOLDER PORT        (SWIFT_USER and SWIFT_KEY in the environment)
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402
from paste.deploy import loadapp  # noqa: E402
from swift.common import utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.storage_policy import reload_storage_policies  # noqa: E402

PIPELINE = "catch_errors cache listing_formats copy tempauth slo dlo proxy-server"


class Memory:
    """What Swift asks of memcached, kept in this process."""

    def __init__(self) -> None:
        self._values: dict[object, tuple[object, float]] = {}

    def get(self, key: object, **_: object) -> object:
        value, until = self._values.get(key, (None, 0.0))
        return value if not until or until > time.time() else None

    def set(self, key: object, value: object, time: float = 0, **_: object) -> None:
        self._values[key] = (value, (now() + time) if time else 0.0)

    def delete(self, key: object, **_: object) -> None:
        self._values.pop(key, None)

    def incr(self, key: object, delta: int = 1, time: float = 0) -> int:
        value = int(self.get(key) or 0) + delta  # type: ignore[call-overload]
        self.set(key, value, time)
        return value


now = time.time


def cache(_global: dict[str, str], **_local: str):  # type: ignore[no-untyped-def]
    """A filter of paste.deploy that puts the memory where Swift looks for it."""
    memory = Memory()

    def wrap(app):  # type: ignore[no-untyped-def]
        def call(environ, start_response):  # type: ignore[no-untyped-def]
            environ["swift.cache"] = memory
            return app(environ, start_response)

        return call

    return wrap


def main(folder: Path, port: int) -> None:
    """Serve until the process ends."""
    sockets = {name: eventlet.listen(("127.0.0.1", 0)) for name in ("account", "container", "object")}
    devices = folder / "devices"
    (devices / "d1").mkdir(parents=True, exist_ok=True)
    conf = folder / "swift.conf"
    conf.write_text("[swift-hash]\nswift_hash_path_suffix = lab\nswift_hash_path_prefix = lab\n", encoding="ascii")
    utils.SWIFT_CONF_FILE = str(conf)
    utils.validate_hash_conf()
    reload_storage_policies()
    for name, socket in sockets.items():
        builder = RingBuilder(1, 1, 0)
        builder.add_dev(
            {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": socket.getsockname()[1], "device": "d1", "weight": 1}
        )
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{name}.ring.gz"))
    common = f"[DEFAULT]\nswift_dir = {folder}\ndevices = {devices}\nmount_check = false\nlog_level = WARNING\n"
    for name, socket in sockets.items():
        file = folder / f"{name}.conf"
        file.write_text(
            f"{common}[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n",
            encoding="ascii",
        )
        eventlet.spawn(wsgi.server, socket, loadapp(f"config:{file}"), log_output=False)
    filters = "".join(
        f"[filter:{name}]\nuse = egg:swift#{name}\n"
        for name in ("catch_errors", "listing_formats", "copy", "slo", "dlo")
    )
    proxy = folder / "proxy.conf"
    proxy.write_text(
        f"{common}[pipeline:main]\npipeline = {PIPELINE}\n{filters}"
        "[filter:cache]\npaste.filter_factory = serve:cache\n"
        "[filter:tempauth]\nuse = egg:swift#tempauth\n"
        f"user_lab_{os.environ['SWIFT_USER']} = {os.environ['SWIFT_KEY']} .admin\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\nallow_account_management = true\n",
        encoding="ascii",
    )
    proxy.chmod(0o600)
    wsgi.server(eventlet.listen(("127.0.0.1", port)), loadapp(f"config:{proxy}"), log_output=False)


if __name__ == "__main__":
    sys.modules["serve"] = sys.modules["__main__"]
    main(Path(sys.argv[1]), int(sys.argv[2]))
