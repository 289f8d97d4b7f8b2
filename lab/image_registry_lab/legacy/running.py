"""A legacy registry in the lab's cluster: the documented objects with real processes, real images and workloads.

What a platform would have brought along is made here too: logins that are taken, a certificate, nodes that find the
registry by its names. ``remove`` takes everything away again.
"""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from image_registry_lab import addresses, archives
from image_registry_lab.legacy import filling
from image_registry_lab.legacy.objects import CONTROLLER, RBAC, definitions, objects, workloads
from image_registry_lab.legacy.variants import HOST, NAMESPACE, TEAMS, VARIANTS, Variant
from image_registry_lab.node import Node
from image_registry_lab.places import Places
from image_registry_lab.process import clean_environment, run
from image_registry_lab.report import LabError

Document = dict[str, Any]
VOLUMES = "/opt/local-path-provisioner"
"""A folder that each node has for itself; the documented one would be the machine's."""

MIGRATOR = "migrator"
"""ServiceAccount of an administrator, as whom both registries can be asked."""

READY = "300s"
MARK = "# legacy registry of the lab"


def in_lab(name: str, image: str) -> Variant:
    """A variant with what the lab has. Raises :class:`LabError` for one that needs something else, or is not known."""
    if name not in VARIANTS:
        raise LabError(f"there is no variant {name}: {', '.join(VARIANTS)}")
    known = VARIANTS[name]
    if known.storage == "s3" or known.partial:
        raise LabError(f"variant {name} needs a bucket, or never ran: the lab has {', '.join(supported())}")
    return replace(
        known,
        registry_image=image,
        proxy_image=image,
        idle_image=archives.BUSYBOX,
        storage_class="local-path",
        access_mode="ReadWriteOnce",
        path=f"{VOLUMES}/cpaas/{known.name}",
    )


def supported() -> list[str]:
    """Variants that can run in the lab."""
    return [name for name, known in VARIANTS.items() if known.storage != "s3" and not known.partial]


class Legacy:
    """The one in the lab; there is at most one."""

    def __init__(self, places: Places, nodes: Callable[[], Iterable[Node]], say: Callable[[str], None]) -> None:
        self._places, self._nodes, self._say = places, nodes, say
        self._note = places.state / "legacy.json"

    def name(self) -> str:
        """The variant that is there, whole or not; empty for none."""
        with suppress(OSError, ValueError):
            return str(json.loads(self._note.read_text(encoding="ascii"))["variant"])
        return ""

    def pushed(self) -> dict[str, str]:
        """Digests of what it was filled with, by name and tag."""
        with suppress(OSError, ValueError):
            return dict(json.loads(self._note.read_text(encoding="ascii")).get("pushed", {}))
        return {}

    def make(self, name: str, image: str) -> None:
        """Objects, images, workloads; does nothing where its result is there. Raises :class:`LabError`."""
        variant, there = in_lab(name, image), self.name()
        if there not in ("", name):
            raise LabError(f"the legacy registry of the lab is {there}: lab/lab legacy down, then up again")
        self._note.write_text(json.dumps({"variant": name}), encoding="ascii")
        self._apply(definitions())
        self._kubectl("wait", "crd", *_definitions(), "--for=condition=established", "--timeout=60s")
        self._apply(_namespaces())
        self._apply(self._documents(variant))
        gateway = ("registry-gateway-gateway",) if variant.gateway else ()
        for deployment in (variant.name, CONTROLLER, *gateway):
            self._kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{deployment}", f"--timeout={READY}")
        self._say(f"{variant.name} runs in {NAMESPACE} ({name})")
        self._let_nodes_find(variant)
        address = self._address(variant)
        tokens = {team: self._token("builder", team) for team in TEAMS}
        with tempfile.TemporaryDirectory(prefix="lab-") as folder:
            pushed = filling.fill(self._places, Path(folder), address, tokens, self._say)
        self._apply(_runnable(workloads(variant, digest=pushed[f"{TEAMS[0]}/app:v2"])))
        for deployment in ("web", "api"):
            self._kubectl("-n", TEAMS[0], "rollout", "status", f"deployment/{deployment}", f"--timeout={READY}")
        self._note.write_text(json.dumps({"variant": name, "pushed": pushed}), encoding="ascii")
        self._say(f"{len(pushed)} tags, workloads run; http://{address} or http://{variant.service_host} in nodes")

    def remove(self) -> None:
        """Everything of it, also of one that was made only in part."""
        found = VARIANTS.get(self.name())
        if self._places.kubeconfig.exists() and found is not None:
            gone = ("--ignore-not-found", "--timeout=120s")
            volumes = self._volumes()
            self._kubectl("delete", "namespace", NAMESPACE, *TEAMS, *gone)
            self._kubectl("delete", "crd", *_definitions(), *gone)
            self._kubectl("delete", "clusterrole", "--selector", f"helm.sh/release-name={found.name}", *gone)
            self._kubectl("delete", "clusterrole,clusterrolebinding", "registry-proxy", *gone)
            self._kubectl("delete", "clusterrolebinding", f"legacy-{MIGRATOR}", *gone)
            if volumes:
                self._kubectl("delete", "pv", *volumes, *gone)
            self._forget_in_nodes(found)
        (self._places.images / "legacy-registry.tar").unlink(missing_ok=True)
        (self._places.images / "LEGACY_REGISTRY_IMAGE.name").unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def settings(self) -> dict[str, str]:
        """What a migration is told: where the registry answers, past names that only nodes know."""
        found = VARIANTS.get(self.name())
        try:
            return {} if found is None else {"LEGACY_NAME": found.name, "LEGACY_URL": f"http://{self._address(found)}"}
        except LabError:
            return {}  # the cluster does not run

    def _documents(self, variant: Variant) -> Iterator[Document]:
        certificate = _certificate()
        for document in objects(variant):
            kind, name = document["kind"], document["metadata"]["name"]
            if kind in ("CustomResourceDefinition", "Namespace"):
                continue
            if kind == "Secret" and name == "registry-ssl":
                document["data"] = certificate
            if kind == "Secret" and document.get("type") == "kubernetes.io/dockercfg":
                team = document["metadata"]["namespace"]
                document["data"] = {".dockercfg": _encoded(json.dumps(self._logins(variant, team)))}
            yield document
        account = {"name": MIGRATOR, "namespace": NAMESPACE}
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}
        yield {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"legacy-{MIGRATOR}"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", **account}],
        }

    def _logins(self, variant: Variant, team: str) -> dict[str, Any]:
        """What the platform's controller keeps fresh: a token of the team's ServiceAccount."""
        login = {"auth": _encoded(f"<token>:{self._token('default', team)}")}
        return dict.fromkeys((variant.service_host, HOST), login)

    def _token(self, account: str, namespace: str) -> str:
        deadline = time.monotonic() + 20
        while True:
            try:
                return self._kubectl("-n", namespace, "create", "token", account, "--duration=8h").strip()
            except LabError:
                if account == "builder":  # made by us
                    self._apply([_account(account, namespace)])
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)  # a controller makes the account of a new namespace

    def _address(self, variant: Variant) -> str:
        return self._kubectl("-n", NAMESPACE, "get", "service", variant.name, "-o=jsonpath={.spec.clusterIP}").strip()

    def _volumes(self) -> list[str]:
        listed = json.loads(self._kubectl("get", "pv", "-o=json"))["items"]
        claims = {item["metadata"]["name"]: (item["spec"].get("claimRef") or {}).get("namespace") for item in listed}
        return [name for name, namespace in claims.items() if namespace == NAMESPACE]

    def _let_nodes_find(self, variant: Variant) -> None:
        """By the Service's name over HTTP, and by the host of the Ingress with the certificate of this lab."""
        front = addresses.node_address("n1")
        secret = json.loads(self._kubectl("-n", NAMESPACE, "get", "ingress", variant.name, "-o=json"))
        scheme = "https" if secret["spec"].get("tls") else "http"
        for node in self._nodes():
            etc = Path(f"/proc/{node.pid()}/root/etc")
            _write_hosts(etc / "hosts", [f"{self._address(variant)} {variant.service_host}", f"{front} {HOST}"])
            for host, url in ((variant.service_host, f"http://{variant.service_host}"), (HOST, f"{scheme}://{HOST}")):
                folder = etc / "containerd/certs.d" / host
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "hosts.toml").write_text(
                    f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n  skip_verify = true\n',
                    encoding="ascii",
                )

    def _forget_in_nodes(self, variant: Variant) -> None:
        taken = json.loads(self._kubectl("get", "pv", "-o=json"))["items"]
        in_use = any(variant.name in str(item["spec"].get("local", {}).get("path")) for item in taken)
        for node in self._nodes():
            root = Path(f"/proc/{node.pid()}/root")
            _write_hosts(root / "etc/hosts", [])
            for host in (variant.service_host, HOST):
                shutil.rmtree(root / "etc/containerd/certs.d" / host, ignore_errors=True)
            if in_use:
                self._say(f"node {node.name}: {VOLUMES}/cpaas stays, a volume of the new registry lies there")
            else:
                shutil.rmtree(root / VOLUMES.lstrip("/") / "cpaas", ignore_errors=True)

    def _apply(self, documents: Iterable[Document]) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        options = ("--server-side", "--force-conflicts", "--field-manager=lab-legacy", "-f", "-")
        self._kubectl("apply", *options, text=json.dumps(items))

    def _kubectl(self, *arguments: str, text: str | None = None) -> str:
        command = [self._places.program("kubectl"), "--kubeconfig", str(self._places.kubeconfig)]
        command += ["--cache-dir", str(self._places.state / "kubectl")]
        return run([*command, *arguments], text=text, environment=clean_environment())


def _definitions() -> list[str]:
    return [document["metadata"]["name"] for document in definitions()]


def _namespaces() -> Iterator[Document]:
    for name in (NAMESPACE, *TEAMS):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _account(name: str, namespace: str) -> Document:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def _runnable(documents: Iterable[Document]) -> Iterator[Document]:
    """Without what cannot run in a lab that has no way out, and with the logins of the namespace."""
    for document in documents:
        if document["metadata"]["name"] == "elsewhere":
            continue
        if document["kind"] == "Deployment":
            document["spec"]["template"]["spec"].pop("imagePullSecrets", None)
            document["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
        yield document


def _certificate() -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        key, certificate = f"{folder}/tls.key", f"{folder}/tls.crt"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "30", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
        run([*command, "-keyout", key, "-out", certificate])
        return {"tls.crt": _encoded(Path(certificate).read_text()), "tls.key": _encoded(Path(key).read_text())}


def _write_hosts(file: Path, lines: Iterable[str]) -> None:
    """In place, for the file is mounted from elsewhere; other people's lines stay."""
    kept = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.endswith(MARK)]
    file.write_text("".join(f"{line}\n" for line in (*kept, *(f"{line} {MARK}" for line in lines))), encoding="utf-8")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
