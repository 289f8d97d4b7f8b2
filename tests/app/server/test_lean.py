"""What a serving process does not carry around."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from image_registry.server import lean


def told(script: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_who_serves_has_nothing_that_serving_never_uses() -> None:
    script = """
        import sys
        from image_registry.server import command, starting
        unused = ("rich", "pygments", "alembic", "mako", "boto3", "azure", "google.cloud", "psycopg", "yaml",
                  "image_registry.image_api", "image_registry.operator")
        print([name for name in unused if name in sys.modules])
    """
    assert told(script) == "[]"


def test_a_module_that_was_kept_out_can_be_imported_afterwards() -> None:
    script = """
        import sys
        from image_registry.server.lean import import_without
        import_without("colorsys", "zipapp")
        import colorsys, zipapp
        print(colorsys.__name__)
    """
    assert told(script) == "colorsys"


def test_what_is_done_apart_leaves_its_results_and_nothing_else() -> None:
    read, write = os.pipe()
    seen: list[int] = []

    def work() -> None:
        seen.append(1)
        os.write(write, b"done")

    assert lean.apart(work)
    assert os.read(read, 10) == b"done"
    assert seen == []
    os.close(read)
    os.close(write)


def test_a_failure_apart_is_told() -> None:
    assert not lean.apart(lambda: 1 // 0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is nothing to let go of")
def test_a_process_that_let_go_of_its_files_is_smaller_and_goes_on() -> None:
    script = """
        import decimal, hashlib, sqlite3, ssl
        from image_registry.server import lean
        def files():
            with open("/proc/self/smaps_rollup") as lines:
                numbers = {line.split()[0]: int(line.split()[1]) for line in lines if line.endswith("kB\\n")}
            return numbers["Rss:"] - numbers["Anonymous:"]
        before = files()
        lean.let_go_of_files()
        after = files()
        sqlite3.connect(":memory:").execute("select 1")
        ssl.create_default_context()
        print(before > after + 1000, hashlib.sha256(b"").hexdigest()[:8], decimal.Decimal(1) / 4)
    """
    assert told(script) == "True e3b0c442 0.25"
