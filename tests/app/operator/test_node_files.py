"""What a node's files say: ours, and nothing of anybody else's."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from image_registry.operator import node_files
from image_registry.operator.node_files import MARK, HostsFileReplaced, NodeFiles, Wanted

HOST = "image-registry.image-registry-system.svc"
CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
WANTED = Wanted(HOST, 5000, "10.96.0.7", CA)
HOSTS = "127.0.0.1\tlocalhost\n10.0.0.1 node-1 # ours, by hand\n"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    (tmp_path / "hosts").write_text(HOSTS, encoding="utf-8")
    (tmp_path / "certs.d").mkdir()
    return tmp_path


def settle(node: Path, wanted: Wanted = WANTED) -> tuple[list[str], tuple[str, ...]]:
    found = node_files.read(node / "certs.d", node / "hosts", wanted.authority)
    proposal = node_files.plan(found, wanted)
    node_files.apply(proposal.steps, node / "certs.d", node / "hosts", wanted.authority)
    return [step.sentence for step in proposal.steps], proposal.notes


def clean(node: Path) -> None:
    found = node_files.read(node / "certs.d", node / "hosts", WANTED.authority)
    node_files.apply(
        node_files.plan_removal(found, WANTED.authority).steps, node / "certs.d", node / "hosts", WANTED.authority
    )


def test_a_node_gets_the_ca_the_hosts_toml_and_one_line(node: Path) -> None:
    settle(node)
    folder = node / "certs.d" / WANTED.authority
    toml = tomllib.loads((folder / "hosts.toml").read_text(encoding="utf-8"))
    url = f"https://{HOST}:5000"
    assert toml["server"] == url
    assert toml["host"][url] == {"capabilities": ["pull", "resolve"], "ca": "ca.crt"}
    assert CA.strip() in (folder / "ca.crt").read_text(encoding="utf-8")
    assert (node / "hosts").read_text(encoding="utf-8") == f"{HOSTS}10.96.0.7\t{HOST} {MARK}\n"


def test_a_second_look_writes_nothing(node: Path) -> None:
    settle(node)
    before = {path: path.stat().st_mtime_ns for path in node.rglob("*")}
    assert settle(node) == ([], ())
    assert {path: path.stat().st_mtime_ns for path in node.rglob("*")} == before


def test_a_new_service_address_replaces_our_line_only(node: Path) -> None:
    settle(node)
    settle(node, Wanted(HOST, 5000, "10.96.0.99", CA))
    assert (node / "hosts").read_text(encoding="utf-8") == f"{HOSTS}10.96.0.99\t{HOST} {MARK}\n"


def test_what_is_not_known_stays_as_it_was(node: Path) -> None:
    settle(node)
    assert settle(node, Wanted(HOST, 5000, None, None)) == ([], ())


def test_removal_leaves_the_node_byte_for_byte_as_it_was(node: Path) -> None:
    settle(node)
    clean(node)
    assert (node / "hosts").read_text(encoding="utf-8") == HOSTS
    assert list((node / "certs.d").iterdir()) == []
    clean(node)


def test_files_of_an_administrator_are_left_alone_and_said(node: Path) -> None:
    folder = node / "certs.d" / WANTED.authority
    folder.mkdir()
    (folder / "hosts.toml").write_text('server = "https://mirror.example"\n', encoding="utf-8")
    done, notes = settle(node)
    assert "not ours" in notes[0]
    assert not any("certs.d" in sentence for sentence in done)
    clean(node)
    assert (folder / "hosts.toml").read_text(encoding="utf-8") == 'server = "https://mirror.example"\n'


def test_a_hosts_line_of_an_administrator_wins(node: Path) -> None:
    mine = f"{HOSTS}192.0.2.1 {HOST}\n"
    (node / "hosts").write_text(mine, encoding="utf-8")
    _, notes = settle(node)
    assert "192.0.2.1" in notes[0]
    assert (node / "hosts").read_text(encoding="utf-8") == mine


def test_the_hosts_file_is_written_in_place_because_it_is_a_mount(node: Path) -> None:
    inode = (node / "hosts").stat().st_ino
    settle(node)
    assert (node / "hosts").stat().st_ino == inode


def test_a_hosts_file_without_a_last_newline_keeps_its_last_line(node: Path) -> None:
    (node / "hosts").write_text("127.0.0.1 localhost", encoding="utf-8")
    settle(node)
    assert (node / "hosts").read_text(encoding="utf-8").splitlines()[0] == "127.0.0.1 localhost"


def test_bytes_that_are_no_text_survive(node: Path) -> None:
    (node / "hosts").write_bytes(b"# caf\xe9\n")
    settle(node)
    assert (node / "hosts").read_bytes().startswith(b"# caf\xe9\n")


def test_a_replaced_hosts_file_is_said_because_writing_to_it_reaches_nobody(node: Path) -> None:
    """What a bind mount shows after the node has renamed a new file over the old one: a file with no name."""
    steps = [step for step in node_files.plan(NodeFiles(HOSTS), WANTED).steps if step.file == "hosts"]
    with (node / "hosts").open("r+b") as file:
        (node / "hosts").unlink()
        mounted = Path(f"/proc/self/fd/{file.fileno()}")
        with pytest.raises(HostsFileReplaced, match="restart"):
            node_files.apply(steps, node / "certs.d", mounted, WANTED.authority)
