"""``ac`` in a real cluster: every command once, as the page of transcripts shows it.

The page is what they printed, with digests, times and names of this run made general. To write it anew:
``AC_TRANSCRIPTS=write pytest -m lab tests/cluster/test_ac_in_a_cluster.py``.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.cluster.kubernetes import NAMESPACE, Kubectl, Team
from tests.serve.conftest import CACHE

pytestmark = pytest.mark.lab

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/ac-transcripts.md"
HEAD = """# Transcripts of ac

A session in a cluster, as `tests/cluster/test_ac_in_a_cluster.py` runs it and compares it with this page. Digests,
times and the names of registry and namespace are general ones. Behind `#` stands who types, and the exit code if not 0.
"""

DEVELOPER, STRANGER, ADMINISTRATOR = "developer", "stranger", "administrator"
IMAGE = "registry.example.com/team-a/app:v1"
APPEND = (
    f'ac image append hello.tar --to={IMAGE} --image=\'{{"Cmd": ["/hello"]}}\' '
    "--created-at=2030-01-31T12:00:00Z --certificate-authority=ca.crt"
)

SESSION: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("Log in", (
        (DEVELOPER, "ac version"),
        (DEVELOPER, "ac registry info --internal"),
        (DEVELOPER, "ac registry login --registry=registry.example.com --certificate-authority=ca.crt"),
    )),
    ("Images themselves", (
        (DEVELOPER, APPEND),
        (DEVELOPER, f"ac image info {IMAGE} --certificate-authority=ca.crt"),
        (DEVELOPER, f"ac image extract {IMAGE} --dry-run --certificate-authority=ca.crt"),
        (DEVELOPER, f"ac image extract {IMAGE} --file=hello --certificate-authority=ca.crt"),
        (DEVELOPER, "ac image info registry.example.com/team-a/none:v1 --certificate-authority=ca.crt"),
    )),
    ("Streams and tags", (
        (DEVELOPER, "ac get images"),
        (DEVELOPER, "ac tag app:v1 app:prod"),
        (DEVELOPER, "ac tag --alias app:v1 app:latest"),
        (DEVELOPER, "ac create imagestream web --lookup-local"),
        (DEVELOPER, "ac create imagestreamtag web:v1 --from=app:v1"),
        (DEVELOPER, "ac get images -o wide"),
        (DEVELOPER, "ac get imagestreamtags -o name"),
        (DEVELOPER, "ac set image-lookup"),
        (DEVELOPER, "ac set image-lookup app"),
        (DEVELOPER, "ac import-image app:v1"),
        (DEVELOPER, "ac tag app:none app:x"),
        (DEVELOPER, "ac tag -d app:latest"),
        (DEVELOPER, "ac tag -d app:latest --confirm"),
    )),
    ("Workloads", (
        (DEVELOPER, "ac create deployment main --image=none"),
        (DEVELOPER, "ac set image deployment/main none=app:v1 --source=imagestreamtag"),
    )),
    ("Rights", (
        (STRANGER, "ac get images"),
        (DEVELOPER, "ac adm policy add-role-to-user view -z stranger"),
        (STRANGER, "ac get images --no-headers"),
        (DEVELOPER, "ac adm policy remove-role-from-user view -z stranger"),
        (DEVELOPER, "ac adm top images"),
    )),
    ("Delete", (
        (DEVELOPER, "ac delete images --repo=team-a/web:v1"),
        (DEVELOPER, "ac delete images --repo=team-a/web:v1 --confirm"),
        (DEVELOPER, "ac delete images --repo=team-a/web:v1 --confirm"),
    )),
    ("Administrators", (
        (ADMINISTRATOR, "ac adm top imagestreams -n team-a"),
        (ADMINISTRATOR, "ac adm prune images -n team-a --whitelist='('"),
        (ADMINISTRATOR, f"ac adm verify-image-signature sha256:{'0' * 64} --remove-all"),
    )),
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Somebody with a kubeconfig and a home, in a folder of their own."""

    config: Path
    folder: Path
    names: dict[str, str]

    def types(self, line: str) -> tuple[str, int]:
        """What a command prints, and its code."""
        for general, own in self.names.items():
            line = line.replace(general, own)
        program = Path(sys.executable).parent
        search = f"{program}{os.pathsep}{CACHE / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": search, "KUBECONFIG": str(self.config), "HOME": str(self.folder)}
        done = subprocess.run(
            shlex.split(line), cwd=self.folder, env=environment, text=True, timeout=60, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return self.general(done.stdout), done.returncode

    def general(self, text: str) -> str:
        """Without what is of this run alone."""
        for general, own in self.names.items():
            text = text.replace(own, general)
        text = re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0123456789abcdef" * 4, text)
        text = re.sub(r"sha256:[0-9a-f]{12}\b", "sha256:0123456789ab", text)
        text = re.sub(r"https://[0-9.:\[\]a-z]+\d+", "https://cluster.example.com:6443", text)
        text = re.sub(r"\b\d+[smhd]$|\b\d+[smhd] ago", "5s", text, flags=re.MULTILINE)
        text = re.sub(r"v?\d+\.\d+\.\d+[\w.+-]*", "1.2.3", text)
        text = re.sub(r"^Read \d+ ", "Read 12 ", text, flags=re.MULTILINE)  # other tests have images, too
        text = re.sub(str(self.folder), "~", text)
        return re.sub(r" {4,}", "   ", text)  # columns are as wide as the names of this run


@pytest.fixture
def people(
    kubectl: Kubectl, team: Team, address: str, ca: Path, lab_kubeconfig: Path, tmp_path: Path
) -> dict[str, Person]:
    names = {"registry.example.com": address, "team-a": team.namespace}
    binding = ["rolebinding", "builder-administers", "--clusterrole=admin"]
    kubectl("-n", team.namespace, "create", *binding, f"--serviceaccount={team.namespace}:builder")
    found = {}
    for who, account in ((DEVELOPER, "builder"), (STRANGER, "stranger"), (ADMINISTRATOR, "")):
        folder = tmp_path / who
        folder.mkdir()
        (folder / "ca.crt").write_bytes(ca.read_bytes())
        with tarfile.open(folder / "hello.tar", "w") as archive:
            info = tarfile.TarInfo("hello")
            info.size = 6
            archive.addfile(info, io.BytesIO(b"hello\n"))
        config = folder / "kubeconfig"
        document = yaml.safe_load(lab_kubeconfig.read_text(encoding="utf-8"))
        if account:
            document["users"] = [{"name": account, "user": {"token": team.token(account)}}]
            [context] = [entry for entry in document["contexts"] if entry["name"] == document["current-context"]]
            context["context"] |= {"user": account, "namespace": team.namespace}
        config.touch(mode=0o600)
        config.write_text(yaml.safe_dump(document), encoding="utf-8")
        found[who] = Person(config, folder, names)
    return found


def test_the_page_is_what_the_commands_print(people: dict[str, Person]) -> None:
    parts = [HEAD]
    for title, commands in SESSION:
        parts.append(f"\n## {title}\n\n```console\n")
        for who, line in commands:
            printed, code = people[who].types(line)
            assert "Traceback" not in printed, printed
            said = [] if who == DEVELOPER else [who]
            said += [f"exit code {code}"] if code else []
            parts.append(f"$ {line}" + (f"   # {', '.join(said)}" if said else "") + f"\n{printed}")
        parts.append("```\n")
    page = "".join(parts)
    if os.environ.get("AC_TRANSCRIPTS") == "write":
        PAGE.write_text(page, encoding="utf-8")
    assert page.splitlines() == PAGE.read_text(encoding="utf-8").splitlines()


def test_a_pod_needs_no_kubeconfig(kubectl: Kubectl, team: Team) -> None:
    image = kubectl.json("-n", NAMESPACE, "get", "deployment", "image-registry")["spec"]["template"]["spec"][
        "containers"
    ][0]
    kubectl("create", "-n", team.namespace, "rolebinding", "viewer", "--clusterrole=view",
            f"--serviceaccount={team.namespace}:builder")  # fmt: skip
    container = {"name": "ac", "image": image["image"], "imagePullPolicy": "IfNotPresent",
                 "command": ["ac", "registry", "info", "--internal"]}  # fmt: skip
    spec = {"serviceAccountName": "builder", "restartPolicy": "Never", "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ac", "namespace": team.namespace}, "spec": spec}
    kubectl.apply(pod)
    kubectl("-n", team.namespace, "wait", "pod/ac", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert kubectl("-n", team.namespace, "logs", "ac") == f"image-registry.{NAMESPACE}.svc:5000\n"
