"""Buffers of uploads do not cost a page fault for every page, every time."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, threading
from image_registry.server.allocator import keep_buffers

def receive(megabytes):
    for _ in range(megabytes):
        parts = [bytes(1 << 20) for _ in range(5)]

def faults(megabytes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    thread = threading.Thread(target=receive, args=(megabytes,))
    thread.start()
    thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    keep_buffers()
print(faults(100))
"""


def faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has this knob")
def test_a_megabyte_received_again_and_again_takes_its_pages_once() -> None:
    kept, plain = faults("kept"), faults("plain")
    assert kept < 10_000
    assert kept < plain / 4
