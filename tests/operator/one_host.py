"""A named fake of an ingress controller: its admission webhook, and who answers by a host at every moment.

Like the webhook of ingress-nginx it refuses a second Ingress with the host and the path of another one, in whatever
namespace.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from image_registry.kube.client import ClusterClient
from tests.clients.certificates import make_certificates

INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
Object = dict[str, Any]


@contextmanager
def one_ingress_for_a_host(client: ClusterClient, folder: Path, *, refused: str = "") -> Iterator[list[str]]:
    """While it is asked of every write; nobody gets an Ingress in the namespace ``refused``. Yields what it refused."""
    said: list[str] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made = asked["request"]["object"]
            why = "its namespace may not" if made["metadata"]["namespace"] == refused else _overlap(client, made)
            said.extend([why] if why else [])
            response = {"uid": asked["request"]["uid"], "allowed": not why} | (
                {"status": {"message": why}} if why else {}
            )
            body = json.dumps({**asked, "request": None, "response": response}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    pair = make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, name="webhook", daemon=True)
    thread.start()
    client.create(WEBHOOKS, _asked(server.server_port, pair.ca.read_bytes()))
    try:
        _in_force(client)
        said.clear()
        yield said
    finally:
        client.delete(f"{WEBHOOKS}/one-host")
        server.shutdown()
        server.server_close()
        thread.join(10)


def _asked(port: int, authority: bytes) -> Object:
    webhook = {
        "name": "one-host.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "clientConfig": {
            "url": f"https://127.0.0.1:{port}/",
            "caBundle": base64.b64encode(authority).decode(),
        },
        "rules": [
            {
                "operations": ["CREATE", "UPDATE"],
                "apiGroups": ["networking.k8s.io"],
                "apiVersions": ["v1"],
                "resources": ["ingresses"],
            }
        ],
    }
    metadata = {"name": "one-host"}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": metadata,
        "webhooks": [webhook],
    }


def _in_force(client: ClusterClient) -> None:
    """The API server learns of a webhook by a watch; until it has, two with one host are let in."""
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "a", "port": {"number": 1}}}}
    spec = {"rules": [{"host": "twice.test", "http": {"paths": [path]}}]}
    place = INGRESSES.replace("/ingresses", "/namespaces/default/ingresses")
    made = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "first"}, "spec": spec}
    client.create(place, made)
    try:
        for _ in range(300):
            try:
                client.create(place, {**made, "metadata": {"name": "second"}}, query={"dryRun": "All"})
            except Exception as error:
                if "is already defined in ingress default/first" in str(error):
                    return
                raise
            threading.Event().wait(0.1)
    finally:
        client.delete(f"{place}/first")
    raise AssertionError("the API server does not ask the webhook")


def _overlap(client: ClusterClient, made: Object) -> str:
    mine = (made["metadata"]["namespace"], made["metadata"]["name"])
    for other in client.get(INGRESSES)["items"]:
        place = (other["metadata"]["namespace"], other["metadata"]["name"])
        for host, path in sorted(set(_doors(made)) & set(_doors(other))) if place != mine else ():
            return f'host "{host}" and path "{path}" is already defined in ingress {place[0]}/{place[1]}'
    return ""


def _doors(ingress: Object) -> Iterator[tuple[str, str]]:
    for rule in ingress["spec"].get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            yield rule.get("host", ""), path.get("path") or "/"


def who_answered(client: ClusterClient, host: str, asked: str, since: str) -> list[str]:
    """The namespaces to which a path of a host led, one after the other, in every state there was; empty: nobody."""
    standing: dict[tuple[str, str], Object] = {}
    query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": "2"}
    answered: list[str] = []
    for event in client.stream(INGRESSES, query=query, accept="application/json", silence=30):
        item = event["object"]
        place = (item["metadata"]["namespace"], item["metadata"]["name"])
        if event["type"] == "DELETED":
            standing.pop(place, None)
        else:
            standing[place] = item
        owner = _owner(standing, host, asked)
        answered += [owner] if not answered or answered[-1] != owner else []
    return answered


def _owner(standing: dict[tuple[str, str], Object], host: str, asked: str) -> str:
    found = [
        (len(path.rstrip("/")), namespace)
        for (namespace, _), item in standing.items()
        for name, path in _doors(item)
        if name == host and f"{asked}/".startswith(f"{path.rstrip('/')}/")
    ]
    return max(found, default=(0, ""))[1]
