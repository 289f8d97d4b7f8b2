"""A layer is read in little memory, whatever it says of itself."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from image_registry.layers.reading import members
from image_registry.remote.errors import TooLarge

HUGE = 64 << 20
LIMIT = 1 << 40


def header(kind: bytes, size: int, name: str = "entry") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse() -> bytes:
    """The old form of GNU: a map of what is in the file, continued in as many blocks as one likes."""
    block = bytearray(header(tarfile.GNUTYPE_SPARSE, 0))
    block[482] = 1  # more of it follows
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    more = bytearray(512)
    more[504] = 1
    return bytes(block) + bytes(more) * (HUGE // 512)


HEADERS = {
    "pax": header(tarfile.XHDTYPE, HUGE) + bytes(HUGE),
    "global": header(tarfile.XGLTYPE, HUGE) + bytes(HUGE),
    "long name": header(tarfile.GNUTYPE_LONGNAME, HUGE) + bytes(HUGE),
    "many long names": (header(tarfile.GNUTYPE_LONGNAME, 512) + bytes(512)) * 5000,
    "sparse": sparse(),
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", HEADERS)
def test_headers_that_never_end_take_no_memory(tmp_path: Path, kind: str, first: bool) -> None:
    before = b"" if first else header(tarfile.REGTYPE, 3) + b"abc".ljust(512, b"\0")
    layer = tmp_path / "layer"
    layer.write_bytes(gzip.compress(before + HEADERS[kind] + bytes(1024), 1))
    tracemalloc.start()
    try:
        with (
            pytest.raises(TooLarge, match=r"bytes of headers|too many headers"),
            members(layer, "layer", LIMIT) as entries,
        ):
            list(entries)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_what_is_said_about_all_entries_is_bounded(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT, pax_headers={f"key{n}": "x" for n in range(2000)}) as tar:
        tar.addfile(tarfile.TarInfo("one"))
    with pytest.raises(TooLarge, match="about all of its entries"), members(layer, "layer", LIMIT) as entries:
        list(entries)


def test_large_files_and_attributes_are_no_headers(tmp_path: Path) -> None:
    layer, size = tmp_path / "layer", 8 << 20
    with tarfile.open(layer, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for number in range(3):
            info = tarfile.TarInfo(f"{number}/" + "n" * 3000)
            info.size, info.pax_headers = size, {"SCHILY.xattr.user.one": "v" * 65536}
            tar.addfile(info, io.BytesIO(bytes(size)))
    with members(layer, "layer", LIMIT) as entries:
        found = []
        for entry, opened in entries:
            stream = opened()
            assert stream is not None
            found.append((entry.size, len(stream.read(10))))  # the rest is passed over
    assert found == [(size, 10)] * 3
