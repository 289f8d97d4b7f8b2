# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The door to the migration engine of the Python package, which the modules about legacy registries need.

Private to this collection. No rule is here: arguments are turned into its questions, answers into documents.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _library, _spelling
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress

IMPORT_ERROR: str | None = None
try:
    from image_registry.kube.client import ClusterClient
    from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
    from image_registry.kube.image_references import CustomField
    from image_registry.kube.quantity import whole
    from image_registry.migration import standing, surveying
    from image_registry.migration.case import make_case
    from image_registry.migration.choices import Choices, Way
    from image_registry.migration.content import ContentFile
    from image_registry.migration.discovery import Question, WrongNamespace, discover
    from image_registry.migration.documents import InvalidDocument, from_document, to_document
    from image_registry.migration.execution import Refused
    from image_registry.migration.facts import Inventory
    from image_registry.migration.plan import write_plan
    from image_registry.migration.planning import plan
    from image_registry.migration.report import html
    from image_registry.migration.survey_registry import SurveyOptions
    from image_registry.remote.asking import Access
    from image_registry.remote.authorities import NoAuthorities, authorities
    from image_registry.remote.credentials import Login
except ImportError:
    IMPORT_ERROR = traceback.format_exc()


class MigrationError(Exception):
    """What cannot be done, and what to do about it; ``changed`` says whether something was done before.

    ``steps`` has a line for each step that was looked at.
    """

    def __init__(self, said: str, *, changed: bool = False, steps: list[str] | None = None) -> None:
        super().__init__(said)
        self.changed, self.steps = changed, steps or []


def need_package(module: AnsibleModule) -> None:
    """Name the Python package that is missing."""
    if IMPORT_ERROR:
        module.fail_json(msg=_library.missing(), exception=IMPORT_ERROR)


def inventory(asked: dict[str, Any], tell: Progress) -> dict[str, Any]:
    """Discover. Raises :class:`MigrationError`."""
    if asked["global_kubeconfig"] and not asked["cluster"]:
        raise MigrationError("global_kubeconfig needs cluster: the name of this cluster in the global one")
    from pathlib import Path

    try:
        fields = tuple(CustomField.parse(text) for text in asked["image_fields"])
        client = ClusterClient.from_kubeconfig(Path(asked["kubeconfig"]), asked["context"])
        beyond = None
        if asked["global_kubeconfig"]:
            beyond = ClusterClient.from_kubeconfig(Path(asked["global_kubeconfig"]))
        client.get("/version")
        question = Question(
            asked["legacy_namespace"], asked["namespace"], asked["cluster"], fields, tuple(asked["registry_hosts"])
        )
        return to_document(
            discover(client, question, global_client=beyond, progress=lambda what: tell(f"looking at {what}"))
        )
    except (ValueError, KubeconfigError, WrongNamespace, KubeError, ClusterUnreachable) as error:
        raise MigrationError(str(error)) from None


def inventory_page(found: dict[str, Any]) -> str:
    """The page for people of what was found, as ``ac adm migrate discover --html`` writes it."""
    return html(from_document(Inventory, found, "inventory"), ())


def keeps(path: str, found: dict[str, Any]) -> bool:
    """Whether a file is of this inventory already; when each was taken does not count."""
    try:
        with open(path, encoding="utf-8") as stream:
            kept = json.load(stream)
    except (OSError, ValueError):
        return False
    return isinstance(kept, dict) and {**kept, "taken": ""} == {**json.loads(json.dumps(found)), "taken": ""}


def survey(asked: dict[str, Any], tell: Progress) -> tuple[dict[str, Any], bool]:
    """Look at what lies in the registry, into the file ``content``: the numbers, and whether they tell of other content
    than before. Raises :class:`MigrationError`."""
    from pathlib import Path

    def counted(done: int, known: int) -> None:
        tell.count(f"surveyed {done} of {known} repositories that are known so far")

    tell("surveying what lies in the registry")
    content = Path(asked["content"])
    before = surveyed(asked["content"])
    try:
        found = to_document(surveying.survey(_place(asked), content, counted))
    except (surveying.WrongPlace, surveying.NoAnswer, InvalidDocument) as error:
        raise MigrationError(str(error)) from None
    except (KubeError, ClusterUnreachable, KubeconfigError) as error:
        raise MigrationError(f"the bucket's credentials cannot be read: {error}") from None
    return found, before.get("digest") != found["digest"]


def survey_elsewhere(asked: dict[str, Any], tell: Progress) -> tuple[dict[str, Any], bool]:
    """The same, and nothing is written to ``content``: from what it has into ``check_content``, or into a file that is
    removed. Raises :class:`MigrationError`."""
    with tempfile.TemporaryDirectory(prefix="image-registry-survey-") as folder:
        place = asked["check_content"] or os.path.join(folder, "content.jsonl")
        try:
            if os.path.exists(asked["content"]):
                shutil.copyfile(asked["content"], place)
        except OSError as error:
            raise MigrationError(f"cannot read {asked['content']}: {error.strerror}") from None
        return survey({**asked, "content": place}, tell)


def surveyed(path: str) -> dict[str, Any]:
    """Numbers of a finished survey; empty where there is none."""
    from pathlib import Path

    try:
        summary = ContentFile(Path(path)).summary()
    except InvalidDocument:
        return {}
    return to_document(summary) if summary is not None else {}


def _place(asked: dict[str, Any]) -> Any:
    from pathlib import Path

    if asked["storage_root"]:
        return surveying.InFolder(Path(asked["storage_root"]))
    if asked["bucket"]:
        client = ClusterClient.from_kubeconfig(Path(asked["kubeconfig"]), asked["context"])
        return surveying.bucket_of(from_document(Inventory, asked["inventory"], "inventory"), client)
    try:
        trusted = authorities(Path(asked["ca_path"])) if asked["ca_path"] else ""
    except NoAuthorities as error:
        raise MigrationError(f"ca_path: {error}") from None
    url = asked["registry_url"]
    return surveying.InRegistry(
        url,
        Access(
            insecure=not asked["validate_certs"] or url.startswith("http://"),
            login=Login(registry_token=asked["token"]) if asked["token"] else None,
        ),
        SurveyOptions(at_once=asked["at_once"], per_second=asked["per_second"], check_blobs=asked["check_blobs"]),
        trusted,
    )


def planned(asked: dict[str, Any], tell: Progress) -> tuple[dict[str, Any], str, list[str], str]:
    """The plan as a document, the page for people, identities of what blocks, the diff of workloads.

    Raises :class:`MigrationError`.
    """
    from pathlib import Path

    try:
        choices = Choices(
            generation=asked["generation"] or "",
            way=Way(asked["way"]) if asked["way"] else None,
            host=asked["host"],
            source_url=asked["source_url"],
            renames=asked["renames"],
            accepted=tuple(asked["accept"]),
            claim_size=whole(asked["claim_size"]) if asked["claim_size"] else 0,
            claim_class=asked["claim_class"],
            claim_access_mode=asked["claim_access_mode"] or "",
            mib_per_second=asked["rate"],
            spelling=_spelling.for_playbooks,
        )
        found = from_document(Inventory, asked["inventory"], "inventory")
        content = ContentFile(Path(asked["content"])) if asked["content"] else None
        tell("reading the survey" if content else "there is no survey")
        case = make_case(found, content, choices)
        tell(f"judging {len(case.names)} repositories and {len(found.consumers)} workloads")
        made = plan(case)
        tell(f"{len(made.steps)} steps, {len(made.findings)} findings, {len(made.blockers)} of them in the way")
    except ValueError as error:
        raise MigrationError(str(error)) from None
    diff = "\n".join(rewrite.diff for rewrite in made.rewrites if rewrite.changes)
    return write_plan(made), html(found, made.findings, made), [entry.id for entry in made.blockers], diff


def put_aside(plan: str, journal: str, *, check: bool) -> list[str]:
    """Keep an ended journal under another name, with its plan; the names. Raises :class:`MigrationError`."""
    from pathlib import Path

    try:
        if check:
            return [str(path) for path in standing.to_put_aside(Path(plan), Path(journal)).values()]
        return [str(path) for path in standing.put_aside(Path(plan), Path(journal))]
    except (Refused, OSError) as error:
        raise MigrationError(str(error)) from None


def differs(path: str, digest: str) -> bool:
    """Whether a file is of another plan, or is not there. A digest says everything but when the plan was made."""
    try:
        with open(path, encoding="utf-8") as stream:
            return digest not in stream.read()
    except OSError:
        return True


def write(module: AnsibleModule, path: str, content: str) -> None:
    """Whole, or as it was."""
    temporary = os.path.join(module.tmpdir, os.path.basename(path) or "plan")
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(content)
    module.atomic_move(temporary, path)


def as_json(document: dict[str, Any]) -> str:
    """As ``ac adm migrate plan --out`` writes it."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
