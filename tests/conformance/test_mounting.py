"""Mounts: what the caller may read somewhere need not be sent again; else a normal upload begins."""

from __future__ import annotations

import pytest

from tests.conformance.protocol import Answer, Repository, digest_of

ALGORITHMS = pytest.mark.parametrize("algorithm", ["sha256", "sha512"])


def mount(target: Repository, digest: str, source: str | None, bearer: str | None = None) -> Answer:
    origin = "" if source is None else f"&from={source}"
    return target.client.ask("POST", f"{target.base}/blobs/uploads/?mount={digest}{origin}", bearer=bearer)


def begun(answer: Answer, repository: Repository, data: bytes, bearer: str | None = None) -> None:
    """The answer is a normal session, and it works."""
    location = answer.expect(202)["location"]
    path = f"{location}?digest={digest_of(data)}"
    repository.client.ask("PUT", path, data, bearer=bearer).expect(201)


@ALGORITHMS
def test_a_blob_is_mounted_from_a_repository_that_the_caller_may_read(
    here: Repository, there: Repository, algorithm: str
) -> None:
    data = f"{here.name} {algorithm}".encode()
    digest = here.blob(data, algorithm)
    for target in (here.sibling(), there):
        answer = mount(target, digest, here.name).expect(201)
        assert answer["location"] == f"{target.base}/blobs/{digest}"
        assert answer["docker-content-digest"] == digest
        assert here.client.get(answer["location"]).expect(200).body == data


def test_a_mounted_blob_outlives_its_source(here: Repository) -> None:
    data = here.name.encode()
    digest, target = here.blob(data), here.sibling()
    mount(target, digest, here.name).expect(201)
    here.delete(f"blobs/{digest}").expect(202)
    assert target.client.get(f"{target.base}/blobs/{digest}").expect(200).body == data


def test_a_mount_without_a_source_finds_what_another_repository_of_the_namespace_has(there: Repository) -> None:
    data = there.name.encode()
    digest, target = there.blob(data), there.sibling()
    wide = there.client.token(f"repository:{target.name}:pull,push", f"repository:{there.name}:pull")
    mount(target, digest, None, bearer=wide).expect(201)
    assert target.client.get(f"{target.base}/blobs/{digest}").expect(200).body == data


def test_a_mount_without_a_source_does_not_look_into_other_namespaces(here: Repository, there: Repository) -> None:
    data = here.name.encode()
    digest = here.blob(data)
    wide = here.client.token(f"repository:{there.name}:pull,push", f"repository:{here.name}:pull")
    begun(mount(there, digest, None, bearer=wide), there, data, bearer=wide)


@pytest.mark.parametrize(
    "source", ["{sibling}", "{there}", "nowhere/at-all", "UPPER/case", "one", "a/b/c", "", "%00", "../x"]
)
def test_a_mount_that_finds_nothing_is_a_normal_upload(here: Repository, there: Repository, source: str) -> None:
    data = f"{here.name} {source}".encode()
    named = source.format(sibling=here.sibling().name, there=there.name)
    begun(mount(here, digest_of(data), named), here, data)


def test_a_blob_that_was_deleted_in_its_source_is_not_mounted(here: Repository) -> None:
    data = here.name.encode()
    digest, target = here.blob(data), here.sibling()
    here.delete(f"blobs/{digest}").expect(202)
    begun(mount(target, digest, here.name), target, data)


@pytest.mark.parametrize("digest", ["x", "", "sha256:x", "md5:" + "a" * 32])
def test_a_mount_of_what_is_no_digest_is_refused(here: Repository, digest: str) -> None:
    mount(here, digest, here.name).refuse(400, "DIGEST_INVALID")


@pytest.mark.parametrize("named", [True, False])
def test_a_token_that_does_not_cover_the_source_gets_a_normal_upload_and_no_refusal(
    here: Repository, there: Repository, named: bool
) -> None:
    """Builders reuse a token that they fetched for the target; a 401 or 403 here breaks their push."""
    data = f"{here.name} {named}".encode()
    digest = here.blob(data)
    for target in (here.sibling(), there):
        narrow = target.client.token(f"repository:{target.name}:pull,push")
        begun(mount(target, digest, here.name if named else None, bearer=narrow), target, data, bearer=narrow)


def test_a_token_for_both_repositories_mounts(here: Repository, there: Repository) -> None:
    data = here.name.encode()
    digest = here.blob(data)
    wide = there.client.token(f"repository:{there.name}:pull,push", f"repository:{here.name}:pull")
    mount(there, digest, here.name, bearer=wide).expect(201)
