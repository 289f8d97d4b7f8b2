"""Every object that a migration may touch, as it can be written again: KUBECONFIG KUBECTL FILE."""

import hashlib
import json
import subprocess
import sys
from typing import Any

NAMESPACES = ("cpaas-system", "team-a", "team-b")
KINDS = (
    "deployments.apps,cronjobs.batch,services,configmaps,secrets,serviceaccounts,ingresses,persistentvolumeclaims,"
    "roles,rolebindings,limitranges,builds.builds.example.com,appreleases.operator.alauda.io"
)
EVERYWHERE = "clusterplugininstances.cluster.alauda.io,moduleinfoes.cluster.alauda.io"
ROLES = ("system:image-puller", "system:image-pusher", "registry-proxy")
OF_THE_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid", "selfLink")
OF_CONTROLLERS = ("deployment.kubernetes.io/revision",)


def found(kubectl: list[str], *what: str) -> list[dict[str, Any]]:
    """What ``kubectl get`` lists."""
    done = subprocess.run(  # noqa: S603 - a list, never a shell
        [*kubectl, "get", *what, "-o", "json"], check=True, capture_output=True, text=True
    )
    answer = json.loads(done.stdout)
    return list(answer["items"]) if "items" in answer else [answer]


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """Without what the API server and controllers write."""
    document.pop("status", None)
    if document["kind"] == "Secret":  # what it says is nobody's business, whether it is the same is
        content = json.dumps(document.pop("data", None), sort_keys=True)
        document["data"] = hashlib.sha256(content.encode()).hexdigest()
    metadata = document["metadata"]
    for name in OF_THE_SERVER:
        metadata.pop(name, None)
    notes = {key: value for key, value in metadata.pop("annotations", {}).items() if key not in OF_CONTROLLERS}
    return {**document, "metadata": metadata | ({"annotations": notes} if notes else {})}


def main(kubeconfig: str, program: str, file: str) -> None:
    """Write them all, by kind, namespace and name."""
    kubectl = [program, "--kubeconfig", kubeconfig]
    documents = [item for name in NAMESPACES for item in found(kubectl, "-n", name, KINDS)]
    documents += found(kubectl, EVERYWHERE) + found(kubectl, "clusterroles", *ROLES)
    named = {
        f"{item['kind']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}": plain(item)
        for item in documents
    }
    with open(file, "w", encoding="utf-8") as output:
        json.dump(named, output, indent=1, sort_keys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
