"""What lies in a legacy registry, told by itself and by its storage: CNCF distribution as Debian packages it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_registry.migration.content import (
    MISSING_BLOB,
    MISSING_MANIFEST,
    UNREADABLE,
    WRONG_SIZE,
    ContentFile,
    ContentSummary,
    ContentWriter,
    RepositoryContent,
)
from image_registry.migration.documents import InvalidDocument
from image_registry.migration.survey_registry import (
    LegacyRegistry,
    LoginExpired,
    SurveyOptions,
    explained,
    survey_registry,
)
from image_registry.migration.survey_storage import survey_storage
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.remote.asking import Access
from image_registry.remote.credentials import Login
from image_registry.remote.errors import NotFound, RemoteError, Unreachable
from image_registry.storage.blob_store import Links, StorageFault
from image_registry.storage.filesystem import FilesystemStore
from tests.app.remote.conftest import Content, Remote, distribution, fill
from tests.app.remote.faulting_proxy import Fault, FaultingProxy
from tests.serve.conftest import free_port

pytestmark = pytest.mark.slow

NESTED = "team/tools/report"


class Legacy:
    """A running registry and its folder; two more repositories share the layers of nobody."""

    def __init__(self, remote: Remote, root: Path) -> None:
        self.remote, self.root = remote, root
        self.nested: Content = fill(root, NESTED)
        self.flat: Content = fill(root, "busybox")

    def registry(self, **options: object) -> LegacyRegistry:
        return LegacyRegistry(f"http://{self.remote.host}", Access(insecure=True), SurveyOptions(**options))  # type: ignore[arg-type]


@pytest.fixture
def legacy(tmp_path: Path) -> Iterator[Legacy]:
    with distribution(tmp_path / "legacy") as remote:
        yield Legacy(remote, tmp_path / "legacy/data")


def by_registry(legacy: Legacy, path: Path, **options: object) -> ContentSummary:
    with ContentWriter(path, "registry", legacy.remote.host) as writer:
        return survey_registry(legacy.registry(**options), writer)


def by_storage(root: Path, path: Path) -> ContentSummary:
    with ContentWriter(path, "storage", str(root)) as writer:
        return survey_storage(FilesystemStore(root), writer)


def content(path: Path) -> dict[str, RepositoryContent]:
    return {repository.name: repository for repository in ContentFile(path).repositories()}


def test_both_ways_find_the_same(legacy: Legacy, tmp_path: Path) -> None:
    told, seen = tmp_path / "told", tmp_path / "seen"
    asked, looked = by_registry(legacy, told), by_storage(legacy.root, seen)
    assert content(told) == content(seen)
    assert set(content(told)) == {"team/app", NESTED, "busybox"}
    assert (asked.repositories, asked.nested, asked.tags, asked.manifests) == (3, 2, 15, 9)
    assert (asked.size, asked.blobs, asked.problems) == (looked.size, looked.blobs, {})
    assert looked.stored is not None
    assert looked.stored > looked.size  # manifests are bytes too
    assert content(told)["team/app"].tags["multi"] == str(legacy.remote.content.index)
    assert asked == ContentFile(told).summary()


def test_what_is_wrong_is_told_per_image_and_the_rest_goes_on(legacy: Legacy, tmp_path: Path) -> None:
    layer = legacy.nested.blob
    shutil.rmtree(legacy.root / f"docker/registry/v2/blobs/sha256/{layer.hex[:2]}/{layer.hex}")
    folder = legacy.root / "docker/registry/v2/repositories/team/app/_manifests"
    (folder / "tags/v1/current/link").write_text("")
    arm = legacy.remote.content.arm
    shutil.rmtree(legacy.root / f"docker/registry/v2/blobs/sha256/{arm.hex[:2]}/{arm.hex}")
    told, seen = tmp_path / "told", tmp_path / "seen"
    by_registry(legacy, told)
    by_storage(legacy.root, seen)
    for found in (content(told), content(seen)):
        assert {problem.kind for problem in found[NESTED].problems} == {MISSING_BLOB}
        assert not found["busybox"].problems
    problems = {(problem.kind, problem.subject.partition(" ")[0]) for problem in content(told)["team/app"].problems}
    assert (MISSING_MANIFEST, "1.1.0") in problems
    assert (MISSING_MANIFEST, "multi") in problems  # one child of it
    assert "damaged link" in {problem.kind for problem in content(seen)["team/app"].problems}
    assert "latest" in content(told)["team/app"].tags


def test_a_link_that_is_nonsense_is_of_one_tag_alone(legacy: Legacy, tmp_path: Path) -> None:
    folder = legacy.root / "docker/registry/v2/repositories/team/app/_manifests/tags"
    (folder / "v1/current/link").write_text("nonsense")
    by_registry(legacy, tmp_path / "told")
    found = content(tmp_path / "told")
    assert [problem.subject for problem in found["team/app"].problems] == ["v1"]
    assert set(found["team/app"].tags) == {"latest", "1.0.0", "1.1.0", "multi"}
    assert not any(found[name].problems for name in (NESTED, "busybox"))


def test_every_tag_that_needs_what_is_lost_is_named(legacy: Legacy, tmp_path: Path) -> None:
    """Not the first one alone that was looked at: each of them is an image that cannot be pulled."""
    assert content_of(legacy, tmp_path) == {}
    layer = legacy.nested.blob
    data = legacy.root / f"docker/registry/v2/blobs/sha256/{layer.hex[:2]}/{layer.hex}/data"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    short = content_of(legacy, tmp_path)
    assert {kind for kinds in short.values() for kind, _ in kinds} == {WRONG_SIZE}
    assert f"has {len(whole) - 1} bytes instead of {len(whole)}" in short["v1"][0][1]
    data.unlink()
    lost = content_of(legacy, tmp_path)
    assert set(lost) == set(short) >= {"v1", "latest", "multi"}
    assert {kind for kinds in lost.values() for kind, _ in kinds} == {MISSING_BLOB}
    assert all(str(layer) in detail for kinds in lost.values() for _, detail in kinds)


def content_of(legacy: Legacy, folder: Path) -> dict[str, list[tuple[str, str]]]:
    """What is wrong with each tag of a repository."""
    by_registry(legacy, folder / "told")
    found: dict[str, list[tuple[str, str]]] = {}
    for problem in content(folder / "told")[NESTED].problems:
        found.setdefault(problem.subject.partition(" ")[0], []).append((problem.kind, problem.detail))
    return found


def test_another_repository_that_needs_what_is_lost_is_named_too(legacy: Legacy, tmp_path: Path) -> None:
    fill(legacy.root, "team/twin")
    config = Digest.of(legacy.nested.config)  # the same bytes in all
    (legacy.root / f"docker/registry/v2/blobs/sha256/{config.hex[:2]}/{config.hex}/data").unlink()
    by_registry(legacy, tmp_path / "told", at_once=1)
    found = content(tmp_path / "told")
    sharing = {name for name, repository in found.items() if str(config) in repository.blobs}
    assert len(sharing) > 2
    assert sharing == {name for name, repository in found.items() if repository.problems}
    lines = (tmp_path / "told").read_bytes().splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if b"missing blob" in line)
    (tmp_path / "told").write_bytes(b"".join(lines[: first + 1]))  # and if it is interrupted there
    by_registry(legacy, tmp_path / "told", at_once=1)
    assert sharing == {name for name, entry in content(tmp_path / "told").items() if entry.problems}


def test_a_login_that_expires_ends_a_survey_and_blames_no_image(tmp_path: Path) -> None:
    with distribution(tmp_path / "guarded", user="mary", password="right") as remote:
        for name in ("team/one", "team/two", "team/three"):
            fill(tmp_path / "guarded/data", name)
        path = tmp_path / "content"
        with FaultingProxy(remote.host).running() as proxy:
            access, slowly = Access(remote.keyring(proxy.host), insecure=True), SurveyOptions(at_once=1)
            asked = LegacyRegistry(f"http://{proxy.host}", access, slowly)
            refused = Fault("/v2/", 401, {"WWW-Authenticate": 'Basic realm="x"'}, always=True)

            def progress(_done: int, _known: int) -> None:
                proxy.faults[:] = [refused]

            with ContentWriter(path, "registry", "x") as writer, pytest.raises(LoginExpired, match="run again"):
                survey_registry(asked, writer, progress=progress)
            with pytest.raises(LoginExpired):
                list(asked.catalog())
            proxy.faults.clear()
            done = {repository.name for repository in ContentFile(path).repositories()}
            assert 0 < len(done) < 4
            assert not any(repository.problems for repository in ContentFile(path).repositories())
            with ContentWriter(path, "registry", "x") as writer:
                assert writer.done == done
                assert survey_registry(asked, writer).problems == {}
    assert "run again" in explained(LoginExpired("run again"), "http://x")


def test_a_file_of_a_volume_that_cannot_be_read_keeps_no_other_from_being_looked_at(tmp_path: Path) -> None:
    """As a bad sector, or a folder where a file should be."""
    broken = fill(tmp_path / "data", "team/broken").arm
    fill(tmp_path / "data", "team/good")
    data = tmp_path / f"data/docker/registry/v2/blobs/sha256/{broken.hex[:2]}/{broken.hex}/data"
    data.unlink()
    data.mkdir()
    found = by_storage(tmp_path / "data", tmp_path / "seen")
    assert found.problems == {UNREADABLE: 1}
    [problem] = content(tmp_path / "seen")["team/broken"].problems
    assert problem.subject == "team/broken"
    assert "Is a directory" in problem.detail
    assert set(content(tmp_path / "seen")["team/good"].tags) == {"v1", "latest", "1.0.0", "1.1.0", "multi"}


def test_a_storage_that_is_gone_in_the_middle_ends_a_survey_and_blames_no_image(tmp_path: Path) -> None:
    for name in ("team/one", "team/two"):
        fill(tmp_path / "data", name)

    class Gone(FilesystemStore):
        """Lists its repositories once, and answers nothing more."""

        lists = 0

        def links(self, repository: Repository) -> Links:
            raise StorageFault(f"cannot read {repository}: stale file handle")

        def repositories(self, namespace: str | None = None) -> Iterator[Repository]:
            self.lists += 1
            if self.lists > 1:
                raise StorageFault("stale file handle")
            yield from super().repositories(namespace)

    with ContentWriter(tmp_path / "seen", "storage", "x") as writer, pytest.raises(StorageFault, match=r"^stale"):
        survey_storage(Gone(tmp_path / "data"), writer)
    assert content(tmp_path / "seen") == {}


def test_an_interrupted_survey_goes_on_behind_its_last_whole_line(legacy: Legacy, tmp_path: Path) -> None:
    whole, path = tmp_path / "whole", tmp_path / "path"
    expected = by_registry(legacy, whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    assert ContentFile(path).summary() is None
    asked: list[str] = []
    with ContentWriter(path, "registry", legacy.remote.host) as writer:
        [before] = writer.done
        registry = legacy.registry()
        original = registry.repository
        registry_class = type(registry)

        class Counted(registry_class):  # type: ignore[misc, valid-type]
            def repository(self, name: str, known: object) -> RepositoryContent:
                asked.append(name)
                return original(name, known)  # type: ignore[arg-type]

        again = survey_registry(Counted(registry.url, registry.access, registry.options), writer)
    assert before not in asked
    assert len(asked) == 2
    assert content(path) == content(whole)
    assert (again.size, again.tags) == (expected.size, expected.tags)


def test_a_file_of_another_survey_is_not_gone_on_with(legacy: Legacy, tmp_path: Path) -> None:
    path = tmp_path / "content"
    by_storage(legacy.root, path)
    with pytest.raises(InvalidDocument, match="by storage: name another file"), ContentWriter(path, "registry", "x"):
        pass
    path.write_text('{"something": "else"}\n')
    with pytest.raises(InvalidDocument, match="line 1"):
        list(ContentFile(path).repositories())


def test_a_finished_survey_is_made_anew_and_the_same_registry_gives_the_same(legacy: Legacy, tmp_path: Path) -> None:
    path = tmp_path / "content"
    first = by_registry(legacy, path)
    again = by_registry(legacy, path)
    assert (first.digest, first.tags) == (again.digest, again.tags)
    link = legacy.root / "docker/registry/v2/repositories/team/app/_manifests/tags/v1/current/link"
    link.write_text(str(legacy.remote.content.arm))
    moved = by_registry(legacy, path)
    assert content(path)["team/app"].tags["v1"] == str(legacy.remote.content.arm)
    assert moved.digest != first.digest
    before = path.with_name("content.before")
    assert content(before)["team/app"].tags["v1"] != str(legacy.remote.content.arm), "the one before stays beside it"


def test_a_survey_says_when_it_was_begun_however_often_it_was_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "content"
    with ContentWriter(path, "registry", "x") as writer:
        writer.add(RepositoryContent("team/app", {"1": "sha256:a"}))
    began = ContentFile(path).began
    header, line = path.read_text().splitlines()
    path.write_text(header.replace(began, "2020-01-01T00:00:00Z") + "\n" + line + "\n")
    with ContentWriter(path, "registry", "x") as writer:
        assert writer.done == {"team/app"}
        writer.finish(0)
    assert ContentFile(path).began == "2020-01-01T00:00:00Z"
    with ContentWriter(path, "registry", "x"):
        pass
    assert ContentFile(path).began >= began


def test_a_registry_that_does_not_answer_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable) as caught:
        LegacyRegistry(url, Access(insecure=True, patience=0.0)).ping()
    assert "does not answer" in str(caught.value)
    assert "storage" in explained(NotFound("no"), url)


def test_credentials_are_needed_where_they_are(tmp_path: Path) -> None:
    with distribution(tmp_path / "guarded", user="mary", password="right") as remote:
        path = tmp_path / "content"
        good = LegacyRegistry(f"http://{remote.host}", Access(remote.keyring(), insecure=True))
        with ContentWriter(path, "registry", remote.host) as writer:
            assert survey_registry(good, writer).tags == 5
        bad = LegacyRegistry(f"http://{remote.host}", Access(login=Login("mary", "wrong"), insecure=True))
        with pytest.raises(RemoteError, match="mary"):
            bad.ping()
        assert "right" not in path.read_text()


@pytest.mark.parametrize("url", ["registry.example.com", "ftp://x", "http://x/path", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no address of a registry"):
        LegacyRegistry(url, Access())


def test_lines_hold_no_more_than_they_say(legacy: Legacy, tmp_path: Path) -> None:
    path = tmp_path / "content"
    by_registry(legacy, path, check_blobs=False)
    for line in path.read_text().splitlines()[1:-1]:
        assert set(json.loads(line)) <= {"name", "tags", "manifests", "blobs", "problems"}
