"""The route is there, with the certificate of the inventory, and the registry sends its callers to that host."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testinfra.host import Host

Kubectl = Callable[..., str]
SYSTEM, HOST = "image-registry-system", "registry.molecule.test"
CERTIFICATE = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "/nonexistent")) / "route.crt"


def test_the_route_names_the_host_and_its_certificate(kubectl: Kubectl) -> None:
    items = json.loads(kubectl(f"-n {SYSTEM} get ingresses -o json"))["items"]
    (route,) = [item for item in items if any(rule["host"] == HOST for rule in item["spec"]["rules"])]
    (tls,) = route["spec"]["tls"]
    secret = json.loads(kubectl(f"-n {SYSTEM} get secret {tls['secretName']} -o json"))
    assert secret["type"] == "kubernetes.io/tls"
    assert base64.b64decode(secret["data"]["tls.crt"]).decode().strip() == CERTIFICATE.read_text().strip()


def test_a_caller_of_that_host_is_sent_to_that_host_for_a_token(host: Host, address: str) -> None:
    said = host.check_output(f"curl -ksS -o /dev/null -D - --resolve {HOST}:5000:{address} https://{HOST}:5000/v2/")
    assert f'realm="https://{HOST}:5000/v2/token"' in said
