"""Connections that nobody asked for, pages that nobody wrote, requests inside of requests."""

from __future__ import annotations

import ast
import http.server
import json
import re
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import ClusterClient
from image_registry.kube.endpoint import Endpoint
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.operator import certificates
from tests.app.distribution_api.conftest import Registry, basic, code, manifest_of
from tests.app.image_api.conftest import ImageAPI
from tests.security import house
from tests.security.conftest import Guarded, application, routes

OUTSIDE = [
    "http://127.0.0.1:9/", "http://[::1]:9/", "http://169.254.169.254/latest/meta-data", "http://[fd00:ec2::254]/",
    "http://2130706433:9/", "http://0177.0.0.1/", "http://kubernetes.default.svc/", "gopher://127.0.0.1:9/",
    "file:///etc/passwd", "//127.0.0.1:9/x",
]  # fmt: skip
QUERIES = ("from", "mount", "url", "realm", "service", "account", "remote", "proxy", "source", "callback", "webhook")


class Elsewhere:
    """A server over real TLS that answers what it is told to, and one that must never be asked."""

    def __init__(self, folder: Path) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")
        self.asked: list[tuple[str, dict[str, str]]] = []
        from datetime import UTC, datetime

        authority = certificates.make_authority("elsewhere", datetime.now(UTC))
        leaf = certificates.make_leaf(authority, ["127.0.0.1"], datetime.now(UTC))
        self.ca = authority.certificate.decode()
        pair = folder / "elsewhere.pem"
        pair.write_bytes(leaf.certificate + leaf.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, body = outer.answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.server_port}"

    def client(self) -> ClusterClient:
        return ClusterClient(Endpoint(server=self.url, source="a test", ca=self.ca, token="canary-token"))


@pytest.fixture
def two_servers(tmp_path: Path) -> Iterator[tuple[Elsewhere, Elsewhere]]:
    made = []
    for name in ("asked", "evil"):
        (tmp_path / name).mkdir()
        made.append(Elsewhere(tmp_path / name))
    yield made[0], made[1]
    for each in made:
        each.server.shutdown()
        each.server.server_close()


def ask_everything(client: ClusterClient) -> None:
    """Every way of asking; each must fail by itself."""
    for ask in (
        lambda: client.get("/api/v1/namespaces/x"),
        lambda: client.create("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "canary"}}),
        lambda: list(client.stream("/api/v1/namespaces", query={}, accept="application/json", silence=2)),
    ):
        with pytest.raises((KubeError, ClusterUnreachable)):
            ask()


def test_credentials_go_to_no_realm_that_an_answer_names(two_servers: tuple[Elsewhere, Elsewhere]) -> None:
    """Row 5 (distribution CVE-2026-33540): a server that is asked names a realm, and is sent the credentials there."""
    asked, evil = two_servers
    challenge = f'Bearer realm="{evil.url}/token",service="x"'
    asked.answer = (401, {"WWW-Authenticate": challenge}, b'{"kind":"Status","code":401}')
    ask_everything(asked.client())
    assert evil.asked == []
    assert all(headers.get("Authorization") == "Bearer canary-token" for _, headers in asked.asked)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(two_servers: tuple[Elsewhere, Elsewhere], status: int) -> None:
    """Row 18 (mirror-registry CVE-2026-2376): a redirect leads to an address that would have been refused."""
    asked, evil = two_servers
    asked.answer = (status, {"Location": f"{evil.url}/latest/meta-data"}, b"")
    ask_everything(asked.client())
    assert evil.asked == []


@pytest.mark.parametrize("status", [302, 307])
def test_no_credentials_follow_a_redirect(two_servers: tuple[Elsewhere, Elsewhere], status: int) -> None:
    """Row 58 (spec draft, containerd): ``Authorization`` is carried along to the host that a redirect names."""
    asked, evil = two_servers
    asked.answer = (status, {"Location": evil.url}, b"")
    ask_everything(asked.client())
    assert not [headers for _, headers in evil.asked if "Authorization" in headers]
    assert evil.asked == []


def test_no_request_makes_the_registry_open_a_connection(registry: Registry, no_network: list[Any]) -> None:
    """Row 16 (Quay CVE-2026-32591): an address in a request is asked by the registry, from the inside."""
    for method, path in routes(application(registry)):
        for address in OUTSIDE:
            registry.client.open(
                path,
                method=method,
                query_string=dict.fromkeys(QUERIES, address),
                data=json.dumps(dict.fromkeys(QUERIES, address)),
                headers={"Referer": address, "Origin": address, "X-Forwarded-Host": address, "Forwarded": address},
            )
    assert no_network == []


def test_a_layer_that_lies_elsewhere_is_never_fetched(registry: Registry, no_network: list[Any]) -> None:
    """Row 16 (Quay CVE-2026-32591): the addresses of a foreign layer are asked by the registry."""
    registry.upload("demo/app", b"{}")
    document = json.loads(manifest_of(b"{}"))
    foreign = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": str(Digest.of(b"elsewhere")),
        "size": 9,
        "urls": OUTSIDE,
    }
    body = json.dumps({**document, "layers": [foreign], "mediaType": media_types.DOCKER_MANIFEST}).encode()
    pushed = registry.client.put("/v2/demo/app/manifests/v1", data=body, content_type=media_types.DOCKER_MANIFEST)
    assert pushed.status_code == 201
    assert registry.client.get(f"/v2/demo/app/blobs/{Digest.of(b'elsewhere')}").status_code == 404
    assert no_network == []


def test_nothing_of_the_image_api_asks_another_registry(api: ImageAPI, no_network: list[Any]) -> None:
    """Row 17 (Quay 2026-02 and 2026-07): the source of a mirror, an import or a scan is an address of the inside."""
    for resource in ("imagestreammappings", "imagestreams", "imagestreamtags", "imagemirrors"):
        for address in OUTSIDE:
            body = {"spec": {"from": {"kind": "DockerImage", "name": address}, "dockerImageRepository": address}}
            answer = api.ask(f"namespaces/team/{resource}", method="POST", json=body)
            assert answer.status_code in {400, 403, 404, 405, 422}, resource
    for method, path in routes(api.client.application):
        api.ask(path, method=method, query_string=dict.fromkeys(QUERIES, OUTSIDE[2]))
    assert no_network == []


ASKING = {"urllib3", "requests", "http.client", "urllib.request", "aiohttp", "httpx", "socket", "ftplib", "smtplib"}
MAY_ASK = ("kube/", "storage/", "metadata/", "server/", "remote/", "cli/", "operator/")
"""The rooms that speak to others: the cluster, the storage, the database, their own sockets, nodes."""


def test_only_rooms_that_are_meant_to_ask_others_can(registry: Registry) -> None:
    """Row 32 (Harbor CVE-2020-13788): a webhook's "test" asks any address. Here no door has the means to ask."""
    reaching = {file for file, name in house.imports() if name in ASKING and not file.startswith(MAY_ASK)}
    assert reaching == set()
    paths = " ".join(path for _, path in routes(application(registry)))
    assert not any(word in paths for word in ("hook", "notif", "ping", "test"))


def test_no_byte_is_served_under_a_digest_that_it_does_not_have(registry: Registry) -> None:
    """Row 57 (generic): unverified bytes are kept under the digest that somebody claims."""
    wanted = Digest.of(b"good")
    start = registry.client.post("/v2/demo/app/blobs/uploads/").headers["Location"]
    refused = registry.client.put(f"{start}?digest={wanted}", data=b"evil")
    assert (refused.status_code, code(refused)) == (400, "DIGEST_INVALID")
    at_once = registry.client.post(f"/v2/demo/app/blobs/uploads/?digest={wanted}", data=b"evil")
    assert code(at_once) == "DIGEST_INVALID"
    body = manifest_of(b"{}", b"good")
    named = registry.client.put(
        f"/v2/demo/app/manifests/{Digest.of(b'other')}", data=body, content_type=media_types.OCI_MANIFEST
    )
    assert code(named) == "DIGEST_INVALID"
    for method in ("GET", "HEAD"):
        assert registry.client.open(f"/v2/demo/app/blobs/{wanted}", method=method).status_code == 404
    assert registry.store.stat(wanted) is None


def test_no_page_of_another_site_may_read_answers(registry: Registry, filled: ImageAPI) -> None:
    """Row 12 (zot 2026-04): answers are opened to every origin, credentials included."""
    for client, found in (
        (registry.client, routes(application(registry))),
        (filled.client, routes(filled.client.application)),
    ):
        for method, path in found:
            for origin in ("https://evil.example", "null"):
                headers = {"Origin": origin, "Access-Control-Request-Method": method}
                for asked in (method, "OPTIONS"):
                    answer = client.open(path, method=asked, headers=headers)
                    leaked = [name for name, _ in answer.headers if name.lower().startswith("access-control-")]
                    assert leaked == [], (asked, path)


def test_certificates_are_verified_wherever_the_registry_asks() -> None:
    """Row 12 (zot 2026-04): a client of the inside skips the verification of TLS."""
    loose = {
        file
        for file, tree in house.trees().items()
        for word in ("CERT_NONE", "_create_unverified_context", "check_hostname = False", "verify=False")
        if word in ast.unparse(tree)
    }
    by_name = {"kube/client.py", "kube/endpoint.py", "remote/pools.py", "storage/s3.py", "storage/swift.py"}
    typed = {"cli/registry_door.py"}
    assert loose <= by_name | typed, (
        "there only as a kubeconfig, an import, a storage's administrator or --insecure says"
    )


def test_answers_do_not_depend_on_who_links_to_them(registry: Registry) -> None:
    """Row 24 (Quay PROJQUAY-7304): a 404 differs by origin without saying so, and poisons shared caches."""
    registry.push("demo/app", "v1")
    for method, path in (*routes(application(registry)), *routes(application(registry), namespace="demo")):
        if method != "GET" or "uploads" in path or path == "/healthz":
            continue
        answers = [
            registry.client.get(path, headers={"Origin": origin} if origin else {})
            for origin in ("", "https://evil.example")
        ]
        assert answers[0].data == answers[1].data, path
        assert dict(answers[0].headers) == dict(answers[1].headers), path
        assert "public" not in answers[0].headers.get("Cache-Control", ""), path


def test_a_browser_carries_nothing_that_the_registry_believes(guarded: Registry) -> None:
    """Row 25 (Quay 2025-11): another site makes a browser act with its cookies, or finishes a login it began."""
    guarded.push("team/app", "v1", headers=basic("ann"))
    for method, path in routes(application(guarded), namespace="team"):
        for headers in ({"Cookie": "session=ann; token=x"}, basic("ann")):
            answer = guarded.client.open(path, method=method, headers=headers)
            assert "Set-Cookie" not in answer.headers, (method, path)
        if "/team/app/" in path:
            cookie = guarded.client.open(path, method=method, headers={"Cookie": "session=ann"})
            assert cookie.status_code == 401, (method, path)


def test_no_form_of_a_page_can_push(guarded: Registry) -> None:
    """Row 25 (Quay 2025-11): a form of another site posts to a route that changes something."""
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
        refused = guarded.client.post("/v2/team/app/blobs/uploads/", data=b"a=b", content_type=kind)
        assert refused.status_code == 401, kind


PAGES = [
    b"<html><script>alert(1)</script>",
    b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    b"%PDF-1.7",
]


@pytest.mark.parametrize("content", PAGES)
def test_nothing_stored_is_shown_as_a_page(registry: Registry, content: bytes) -> None:
    """Row 50 (generic): a browser shows a pushed SVG or HTML file as a page of the registry."""
    digest = registry.upload("demo/app", content)
    for headers in ({}, {"Accept": "text/html"}, {"Range": "bytes=0-10"}):
        answer = registry.client.get(f"/v2/demo/app/blobs/{digest}", headers=headers)
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_no_answer_is_a_page(registry: Registry, filled: ImageAPI) -> None:
    """Row 51 (Quay CVE-2020-27831, Harbor CVE-2025-32019): text that somebody pushed runs as a script of a page."""
    registry.upload("demo/app", b"{}")
    registry.upload("demo/app", b"layer")
    script = "<script>alert(1)</script>"
    body = manifest_of(b"{}", b"layer", annotations={script: script, "org.opencontainers.image.title": script})
    registry.client.put("/v2/demo/app/manifests/v1", data=body, content_type=media_types.OCI_MANIFEST)
    for client, found in (
        (registry.client, routes(application(registry), namespace="demo")),
        (filled.client, routes(filled.client.application, namespace="team")),
    ):
        for method, path in (*found, ("GET", f"/{script}"), ("GET", f"/v2/{script}/app/tags/list")):
            answer = client.open(path, method=method, headers={"Accept": "text/html,*/*"})
            assert "html" not in answer.headers.get("Content-Type", ""), (method, path)


def test_tables_of_the_image_api_carry_text_as_text(filled: ImageAPI) -> None:
    """Row 51 (Quay CVE-2020-27831, Harbor CVE-2025-32019): a label runs as a script where it is listed."""
    filled.label("team/app", app="<script>")
    answer = filled.ask("namespaces/team/imagestreams", accept=filled.table)
    assert answer.content_type is not None
    assert answer.content_type.startswith("application/json")


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "/%2f%2fevil.example", "/v2//evil.example/", "/v2/../..//evil.example",
     "/https://evil.example", "/v2/https://evil.example/tags/list", "/%0d%0aLocation:%20//evil.example"],
)  # fmt: skip
def test_no_answer_leads_to_another_host(registry: Registry, path: str) -> None:
    """Row 53 (Harbor CVE-2024-22244): after login a parameter leads the browser to another host."""
    queries = dict.fromkeys(("redirect", "return_to", "next", "continue", "redirect_uri", "rd"), "https://evil.example")
    for method in ("GET", "POST"):
        raw = {"PATH_INFO": path.replace("%2f", "/"), "REQUEST_URI": path}
        answer = registry.client.open("/", method=method, query_string=queries, environ_overrides=raw)
        assert not 300 <= answer.status_code < 400
        assert "evil" not in answer.headers.get("Location", "")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["http://evil.example", "http://evil.example?x", "*", "//evil.example", "///", "?x"])
def test_no_target_of_a_request_leads_to_another_host(behind_a_socket: Guarded, target: str) -> None:
    """Row 53 (Harbor CVE-2024-22244): a request that names a host is sent on to that host."""
    raw = f"GET {target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    answer = behind_a_socket.send(raw.encode())
    assert answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4")), answer[:200]
    assert b"ocation:" not in answer


def test_no_route_redirects(registry: Registry, filled: ImageAPI) -> None:
    """Row 53 (Harbor CVE-2024-22244): a route redirects to where a parameter says."""
    for client, found in (
        (registry.client, routes(application(registry), namespace="demo")),
        (filled.client, routes(filled.client.application)),
    ):
        for method, path in found:
            answer = client.open(path, method=method, query_string={"next": "//evil.example"})
            assert not 300 <= answer.status_code < 400, (method, path)


FORGED = ["evil.example", "evil.example:5000", 'evil",realm="x', "evil.example/path", "a@evil.example", "evil\\x"]


@pytest.mark.parametrize("host", FORGED)
def test_no_forwarded_header_moves_an_address(guarded: Registry, host: str) -> None:
    """Row 47 (generic): Host and X-Forwarded-Host decide where an answer sends the client, and its credentials."""
    forwarded = {
        "X-Forwarded-Host": host, "X-Forwarded-Proto": "gopher", "Forwarded": f"host={host}", "X-Host": host,
        "X-Forwarded-Prefix": f"//{host}", "X-Original-URL": f"//{host}/", "X-Rewrite-URL": f"//{host}/",
    }  # fmt: skip
    start = guarded.client.post("/v2/team/app/blobs/uploads/", headers={**basic("ann"), **forwarded, "Host": host})
    assert start.status_code == 202
    assert start.headers["Location"].startswith("/v2/team/app/blobs/uploads/")
    challenged = guarded.client.get("/v2/", headers=forwarded)
    assert challenged.headers["WWW-Authenticate"].startswith('Bearer realm="http://localhost/v2/token"')
    forged = guarded.client.get("/v2/", headers={"Host": host}).headers["WWW-Authenticate"]
    assert forged.count('"') == 4, "a forged host stays within its quotes"


@pytest.mark.slow
@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: {length}\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: {length}",
        "Content-Length: 0\r\nContent-Length: {length}",
        "Content-Length: 0, {length}",
        "Content-Length: +{length}",
        "Content-Length: -1",
        "Content-Length: 0x10",
        "Content-Length: 1_0",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\tchunked\x0b",
        "Transfer-Encoding: \x0bchunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "Content-Length : {length}",
        "Content_Length: {length}\r\nContent-Length: 0",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ],
)
def test_no_request_hides_in_another(behind_a_socket: Guarded, head: str) -> None:
    """Row 39 (gunicorn CVE-2024-1135, CVE-2024-6827): a proxy and the server disagree where a request ends."""
    hidden = "GET /hidden-request HTTP/1.1\r\nHost: x\r\n\r\n"
    body = f"0\r\n\r\n{hidden}"
    lines = head.format(length=len(body))
    raw = f"POST /v2/ HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n{body}".encode("latin-1")
    answer = behind_a_socket.send(raw, patience=3)
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
    assert statuses, "somebody must be told"
    assert all(status < 500 or status == 501 for status in statuses), answer
    # what follows a request whose end is in doubt is never answered as a request of its own
    assert b"hidden-request" not in answer
