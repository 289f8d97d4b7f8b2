"""``ac import-image`` over a real registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_registry.image_api.app import create_app
from image_registry.image_api.parts import Parts
from image_registry.importing.importer import Importer
from image_registry.remote.credentials import Keyring
from image_registry.remote.registry import Registries
from image_registry.remote.sources import SourceRules
from image_registry.remote.wire import Wire
from tests.app.cli.served import Ac, Office, listening
from tests.app.image_api.conftest import FakeCluster, ImageAPI, _opened
from tests.app.remote.conftest import LOOPBACK, REPOSITORY, Remote, open_distribution  # noqa: F401 - a fixture


@pytest.fixture
def office(
    sqlite_template: Path, tmp_path: Path, open_distribution: Remote  # noqa: F811
) -> Iterator[Office]:  # fmt: skip
    """One that can import from a registry without TLS."""
    for api in _opened(sqlite_template, tmp_path, FakeCluster()):
        yield Office(_importing(api, open_distribution.host))


def _importing(api: ImageAPI, insecure: str) -> ImageAPI:
    registries = Registries(Wire(LOOPBACK), SourceRules(insecure=(insecure,)))
    importer = Importer(registries, api.streams.imports, lambda _repository: Keyring(), ourselves=[api.host])
    parts = {name: getattr(api.parts, name) for name in Parts.__dataclass_fields__}
    api.client = create_app(Parts(**{**parts, "importer": importer})).test_client()
    return api


@pytest.fixture
def ac(office: Office, tmp_path: Path) -> Iterator[Ac]:
    with listening(office.answer, tmp_path) as config:
        yield Ac(config, tmp_path)


def test_a_new_tag_needs_a_source_and_confirmation(
    ac: Ac, office: Office, open_distribution: Remote  # noqa: F811
) -> None:  # fmt: skip
    image = f"{open_distribution.host}/{REPOSITORY}:v1"
    assert "--confirm creates it" in ac.bad(5, "import-image", "app:v1", f"--from={image}")
    assert "--from" in ac.bad(2, "import-image", "app:v1", "--confirm")
    said = ac.good("import-image", "app:v1", f"--from={image}", "--confirm", "--reference-policy=local")
    digest = open_distribution.content.image
    assert said.splitlines() == [
        "imagestream.image.alauda.io/app imported",
        "TAG   IMAGE" + " " * 69 + "RESULT",
        f"v1    {digest}   imported",
    ]
    [tag] = office.api.get("namespaces/team/imagestreams/app")["spec"]["tags"]
    assert tag["referencePolicy"] == {"type": "Local"}
    # again, from where it comes, as it is wanted
    ac.good("import-image", "app:v1")
    [tag] = office.api.get("namespaces/team/imagestreams/app")["spec"]["tags"]
    assert tag["referencePolicy"] == {"type": "Local"}
    other = f"{open_distribution.host}/{REPOSITORY}:1.1.0"
    assert "--confirm changes that" in ac.bad(2, "import-image", "app:v1", f"--from={other}")
    ac.good("import-image", "app:v1", f"--from={other}", "--confirm")
    assert ac.good("import-image", "app:v1", "-o", "name") == "imagestream.image.alauda.io/app\n"


def test_every_tag_of_a_repository_or_of_the_stream(ac: Ac, open_distribution: Remote) -> None:  # noqa: F811
    whole = f"--from={open_distribution.host}/{REPOSITORY}"
    said = ac.good("import-image", "app", "--all", whole, "--confirm", "--import-mode=PreserveOriginal")
    assert [line.split()[0] for line in said.splitlines()[2:]] == ["latest", "1.1.0", "1.0.0", "multi", "v1"]
    said = ac.good("import-image", "app", "--all")
    assert said.count("imported") == 6
    assert "leave out the tag" in ac.bad(2, "import-image", "app:v1", "--all")


def test_a_dry_run_shows_and_leaves_nothing(ac: Ac, office: Office, open_distribution: Remote) -> None:  # noqa: F811
    image = f"--from={open_distribution.host}/{REPOSITORY}:v1"
    said = ac.good("import-image", "app:v1", image, "--confirm", "--dry-run")
    assert "would be imported (dry run)" in said
    assert office.api.names("imagestreams") == []


def test_what_is_not_there_is_said_with_its_reason(ac: Ac, open_distribution: Remote) -> None:  # noqa: F811
    image = f"--from={open_distribution.host}/{REPOSITORY}:none"
    done = ac("import-image", "app:v1", image, "--confirm")
    assert done.exit_code == 1
    assert "not imported" in done.stdout
    assert "Error: v1: NotFound: " in done.stderr
    found = json.loads(ac("import-image", "app:v1", "-o", "json").stdout)
    assert found["status"]["images"][0]["status"]["reason"] == "NotFound"


def test_a_tag_that_points_elsewhere_is_not_imported(ac: Ac, office: Office) -> None:
    office.api.push("team/app", "one", "v1")
    ac.good("tag", "app:v1", "app:prod")
    assert "points to ImageStreamImage" in ac.bad(2, "import-image", "app:prod")
    assert "has no tag v1 that is imported" in ac.bad(5, "import-image", "app:v1")
    assert "names no image" in ac.bad(2, "import-image", "app:v1", "--from=Upper_Case:v1", "--confirm")
