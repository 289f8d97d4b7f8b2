"""Tags and the catalog: in order, in pages, none lost and none twice, whatever is written meanwhile."""

from __future__ import annotations

import random
import threading
import uuid
from urllib.parse import quote, unquote

import pytest

from tests.conformance.protocol import Client, Repository
from tests.conformance.target import Target

NAMES = ["0", "A", "B", "_", "a", "a-b", "a.b", "a0", "aa", "ab", "b", "v1", "v1.0", "v1.0.0", "v10", "v2"]
"""In ASCII order; many are the beginning of others, which some registries lose between pages."""


@pytest.fixture(scope="module")
def many(target: Target) -> Repository:
    """A repository with these tags; nobody changes it."""
    repository = Repository(target.client, f"{target.namespaces[0]}/r-{uuid.uuid4().hex[:12]}")
    pushed = repository.image()
    query = "&".join(f"tag={name}" for name in sorted(NAMES, reverse=True))
    repository.put(f"{pushed.digest}?{query}", pushed.raw).expect(201)
    return repository


def pages(client: Client, path: str, key: str) -> list[list[str]]:
    found = []
    while path:
        answer = client.get(path).expect(200)
        found.append(answer.json[key])
        path = answer.next
    return found


def test_tags_are_listed_in_order_under_the_name_of_their_repository(many: Repository) -> None:
    assert many.tags().expect(200).json == {"name": many.name, "tags": NAMES}
    assert "link" not in many.tags()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 15, 16, 17, 1000])
def test_pages_add_up_to_the_list(many: Repository, size: int) -> None:
    found = pages(many.client, f"{many.base}/tags/list?n={size}", "tags")
    assert [tag for page in found for tag in page] == NAMES
    assert all(len(page) == size for page in found[:-1])


def test_the_link_keeps_the_size_of_the_page_and_stays_on_this_host(many: Repository) -> None:
    link = many.tags("?n=3").next
    assert link.startswith(f"{many.base}/tags/list?")
    assert "n=3" in link
    assert "last=B" in link


@pytest.mark.parametrize("last", ["", "0", "a", "a-", "zzz", "v1", "nonsense%20%22%3E", "%C3%A9"])
def test_a_list_begins_behind_the_last_tag_whether_or_not_it_is_there(many: Repository, last: str) -> None:
    expected = [tag for tag in NAMES if tag.encode() > unquote(last).encode()]
    assert many.tags(f"?last={last}").expect(200).json["tags"] == expected
    assert many.tags(f"?n=2&last={last}").expect(200).json["tags"] == expected[:2]


def test_a_page_of_nothing_is_an_empty_list_without_a_link(many: Repository) -> None:
    answer = many.tags("?n=0").expect(200)
    assert (answer.json["tags"], "link" in answer) == ([], False)


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "", "1e3", "9" * 30, "%00"])
def test_a_size_that_is_none_is_refused(many: Repository, number: str) -> None:
    assert "whole number" in many.tags(f"?n={number}").refuse(400, "SIZE_INVALID")


@pytest.mark.parametrize("number", ["1001", "100000", str(2**63)])
def test_a_size_that_is_too_large_is_bounded_and_nothing_lost(many: Repository, number: str) -> None:
    found = pages(many.client, f"{many.base}/tags/list?n={number}", "tags")
    assert [tag for page in found for tag in page] == NAMES


def test_the_tags_of_a_repository_that_is_not_there_are_unknown(here: Repository) -> None:
    assert "first push" in here.tags().refuse(404, "NAME_UNKNOWN")


def test_a_repository_without_tags_has_an_empty_list(here: Repository) -> None:
    pushed = here.image()
    assert here.tags().expect(200).json == {"name": here.name, "tags": []}
    here.put("v1", pushed.raw).expect(201)
    here.delete("manifests/v1").expect(202)
    assert here.tags().expect(200).json == {"name": here.name, "tags": []}


@pytest.mark.parametrize("seed", range(3))
def test_no_tag_is_lost_or_listed_twice_while_others_come_and_go(here: Repository, seed: int) -> None:
    """Tags that were there all the time are in the list exactly once; the order holds; nothing is invented."""
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    pushed = here.image()
    steady = {f"s{chance.randrange(10**6):06}" for _ in range(30)}
    passing = {f"s{chance.randrange(10**6):06}x" for _ in range(30)}
    for some in (sorted(steady), sorted(passing)[:15]):
        here.put(f"{pushed.digest}?{'&'.join(f'tag={tag}' for tag in some)}", pushed.raw).expect(201)
    over = threading.Event()

    def come_and_go() -> None:
        there = set(sorted(passing)[:15])
        while not over.is_set():
            tag = chance.choice(sorted(passing))
            if tag in there:
                here.delete(f"manifests/{tag}").expect(202)
            else:
                here.put(tag, pushed.raw).expect(201)
            there ^= {tag}

    writer = threading.Thread(target=come_and_go)
    writer.start()
    try:
        for size in (1, 2, 3, 7, 20):
            listed = [tag for page in pages(here.client, f"{here.base}/tags/list?n={size}", "tags") for tag in page]
            assert listed == sorted(set(listed))
            assert steady <= set(listed) <= steady | passing
    finally:
        over.set()
        writer.join(60)


def test_the_catalog_has_every_repository_once_in_order(here: Repository) -> None:
    names = sorted(here.sibling(f"{here.name.rpartition('/')[2]}{end}").name for end in ("", "-a", ".a", "0", "a"))
    for name in names:
        Repository(here.client, name).image("v1")
    for size in (1, 3, 1000):
        found = [
            name
            for page in pages(here.client, f"/v2/_catalog?n={size}&last={quote(names[0][:-1])}", "repositories")
            for name in page
        ]
        assert [name for name in found if name in names] == names
        assert found == sorted(set(found), key=lambda name: tuple(name.split("/")))


def test_no_repository_is_lost_or_listed_twice_while_others_begin(here: Repository) -> None:
    base = here.name.rpartition("/")[2]
    steady = [here.sibling(f"{base}-{number}").name for number in range(0, 20, 2)]
    for name in steady:
        Repository(here.client, name).image("v1")
    odd = iter([here.sibling(f"{base}-{number}") for number in range(1, 20, 2)])
    listed: list[str] = []
    path = f"/v2/_catalog?n=2&last={quote(here.name)}"
    while path and len(listed) < 60:
        answer = here.client.get(path).expect(200)
        listed += answer.json["repositories"]
        path = answer.next
        if (another := next(odd, None)) is not None:
            another.image("v1")
    assert [name for name in listed if name in steady] == sorted(steady)
    assert len(listed) == len(set(listed))


def test_the_catalog_is_not_for_strangers(stranger: Client) -> None:
    answer = stranger.get("/v2/_catalog")
    answer.refuse(401, "UNAUTHORIZED")
    assert 'scope="registry:catalog:*"' in answer["www-authenticate"]


@pytest.mark.parametrize("number", ["-1", "x"])
def test_a_size_that_is_none_is_refused_by_the_catalog_too(client: Client, number: str) -> None:
    client.get(f"/v2/_catalog?n={number}").refuse(400, "SIZE_INVALID")
