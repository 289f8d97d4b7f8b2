"""``ac adm prune images`` as a person and a script meet it: over a connection, with a kubeconfig."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import yaml
from click.testing import CliRunner, Result

from image_registry.cli import ac
from image_registry.cli.connection import connect
from image_registry.cli.failures import Unreachable
from image_registry.operator import certificates
from tests.app.pruning.test_plans import history, signed
from tests.app.pruning.test_schedule import CRONJOBS, cronjob

if TYPE_CHECKING:
    from tests.app.pruning.conftest import PrunedCluster

Run = Callable[..., Result]


@pytest.fixture
def run(pruned: PrunedCluster, tmp_path: Path) -> Iterator[Run]:
    """Run the command against the registry; content of tests is from 2030, so nothing counts as young."""
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_request(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            target = urlsplit(self.path)
            with turn:
                status, document = pruned.answer(
                    self.command or "",
                    unquote(target.path),
                    body,
                    dict(parse_qsl(target.query)),
                    self.headers["Accept"],
                )
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    now = datetime.now(UTC)
    authority = certificates.make_authority("fake", now)
    leaf = certificates.make_leaf(authority, ["127.0.0.1"], now)
    (tmp_path / "pair.pem").write_bytes(leaf.certificate + leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    config = tmp_path / "kubeconfig"
    trust = {"certificate-authority-data": base64.b64encode(authority.certificate).decode()}
    document = {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": {"server": f"https://127.0.0.1:{server.server_port}", **trust}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
    }
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    later = pruned.now(10_000)

    def call(*arguments: str) -> Result:
        command = ["adm", "prune", "images", f"--kubeconfig={config}", *arguments]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("image_registry.cli.prune_images.time.time", lambda: later)
            return CliRunner().invoke(ac.cli, command)

    try:
        yield call
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parity(19)
def test_without_confirm_everything_is_told_and_nothing_changed(run: Run, pruned: PrunedCluster) -> None:
    digests = history(pruned)
    pruned.run(f"{pruned.host}/team/app@{digests[4]}")
    done = run("--keep-tag-revisions=1")
    assert done.exit_code == 0, done.output
    assert "Dry run: nothing is deleted. Use --confirm to delete." in done.stderr
    lines = done.stdout.splitlines()
    assert "Would delete 3 items from image stream team/app" in lines
    rows = {line.split()[0]: line for line in lines if line.startswith("sha256:")}
    assert len(rows) == 5
    assert "keep    tag team/app:v1, used by Deployment team/web" in rows[digests[4][:19]]
    assert "delete  nothing keeps it" in rows[digests[3][:19]]
    assert "would delete 3 image object(s), would delete 3 image stream tag item(s), would update 1" in done.stdout
    assert "3 of 5 image(s) in the plan; 3 blob(s)" in done.stdout
    assert len(pruned.images()) == 5
    assert {method for method, _ in pruned.asked} == {"GET", "POST"}


@pytest.mark.parity(19)
def test_with_confirm_exactly_that_is_done(run: Run, pruned: PrunedCluster) -> None:
    history(pruned)
    planned = json.loads(run("--keep-tag-revisions=1", "-o", "json").stdout)
    done = run("--keep-tag-revisions=1", "--confirm=true")
    assert done.exit_code == 0, done.output
    goes = {image["name"] for image in planned["images"] if image["action"] == "delete"}
    deleted = [line.split() for line in done.stdout.splitlines() if line.startswith("Deleted image ")]
    assert {words[2] for words in deleted if len(words) == 3} == goes
    assert "Deleted 4 items from image stream team/app" in done.stdout
    assert "Summary: deleted 4 image object(s), deleted 4 image stream tag item(s), updated 1 image" in done.stdout
    assert "Summary: would delete 0 objects" in run("--keep-tag-revisions=1").stdout


def test_a_real_run_shows_its_plan_if_it_is_to_tell_more(run: Run, pruned: PrunedCluster) -> None:
    digests = history(pruned)
    done = run("--keep-tag-revisions=1", "--confirm", "--loglevel=4")
    assert done.exit_code == 0, done.output
    rows = [line for line in done.stdout.splitlines() if line.startswith(digests[3][:19])]
    assert len(rows) == 1
    assert "delete  nothing keeps it" in rows[0]
    assert "Summary: deleted 4 image object(s)" in done.stdout


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
@pytest.mark.parametrize("filled", [True, False])
def test_programs_get_one_document(
    run: Run,
    pruned: PrunedCluster,
    form: str,
    read: Callable[[str], Any],
    filled: bool,
) -> None:
    if filled:
        history(pruned)
        signed(pruned, "one", None)
    document = read(run("--keep-tag-revisions=1", "-o", form).stdout)
    assert (document["kind"], document["dryRun"]) == ("ImagePruneReport", True)
    assert len(document["images"]) == document["totals"]["images"] == (8 if filled else 0)
    assert sum(len(stream["items"]) for stream in document["streams"]) == document["totals"]["dropped_events"]
    assert len(document["heldImages"]) == document["totals"]["released"]
    done = read(run("--keep-tag-revisions=1", "--confirm", "-o", form).stdout)
    assert done["outcome"]["deletedImages"] == document["totals"]["deleted_images"]
    assert done["outcome"]["failures"] == []


def test_wide_shows_whole_digests(run: Run, pruned: PrunedCluster) -> None:
    digests = history(pruned, count=1)
    assert digests[0] in run("-o", "wide").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--whitelist=[",), "no regular expression"),
        (("--keep-younger-than=soon",), "no duration"),
        (("--image-field=spec.image",), "as in serving.knative.dev"),
        (("--image-field=x.io/v1/things=spec[",), "no path of a field"),
        (("--image-field=x.io/v1/things=spec.image",), "no things of x.io/v1"),
        (("--prune-over-size-limit", "--keep-tag-revisions=3"), "leave out --keep-tag-revisions"),
        (("--local-usage",), "needs --namespace"),
        (("--keep-tag-revisions=-1",), "-1"),
        (("-o", "xml"), "xml"),
    ],
)
def test_what_is_asked_for_wrongly_is_exit_code_2(
    run: Run, pruned: PrunedCluster, arguments: tuple[str, ...], said: str
) -> None:
    history(pruned)
    done = run("--confirm", *arguments)
    assert (done.exit_code, said in done.stderr) == (2, True), done.output
    assert len(pruned.images()) == 5


def test_missing_rights_are_named_each_and_are_exit_code_3(run: Run, pruned: PrunedCluster) -> None:
    history(pruned)
    pruned.denied = {"list cronjobs", "delete imagestreamimages", "list things"}
    pruned.lists["/apis/x.io/v1/things"] = []
    done = run("--confirm", "--image-field=x.io/v1/things=spec.image")
    assert done.exit_code == 3
    for right in ("list cronjobs.batch", "list things.x.io", "delete imagestreamimages.image.alauda.io"):
        assert f"\n  {right}\n" in done.stderr
    assert "system:image-pruner" in done.stderr
    assert len(pruned.images()) == 5


def test_a_registry_that_does_not_answer_is_exit_code_4(run: Run, pruned: PrunedCluster) -> None:
    pruned.failures["GET", "/apis/image.alauda.io/v1/imagestreams"] = [503, 503, 503]
    done = run()
    assert done.exit_code == 4
    assert "kubectl get apiservice v1.image.alauda.io" in done.stderr


def test_what_could_not_be_deleted_is_exit_code_1_and_the_rest_is_done(run: Run, pruned: PrunedCluster) -> None:
    digests = history(pruned)
    pruned.failures["DELETE", f"/apis/image.alauda.io/v1/images/{digests[4]}"] = [403]
    done = run("--confirm", "--keep-tag-revisions=1")
    assert done.exit_code == 1
    assert f"Error: image {digests[4]}: a permission is missing" in done.stderr
    assert "1 thing(s) could not be done; run again" in done.stdout
    assert pruned.images() == {digests[0], digests[4]}
    assert run("--confirm", "--keep-tag-revisions=1").exit_code == 0


def test_what_cannot_be_read_is_a_warning(run: Run, pruned: PrunedCluster) -> None:
    history(pruned)
    pruned.run(f"{pruned.host}/team/a$(IMAGE)")
    done = run("--keep-tag-revisions=1")
    assert (done.exit_code, "Warning: Deployment team/web names" in done.stderr) == (0, True)
    assert "keep    Deployment team/web names something like it that cannot be read" in done.stdout


def test_names_of_the_registry_before_it_can_be_added(run: Run, pruned: PrunedCluster) -> None:
    digests = history(pruned)
    pruned.run(f"registry.cpaas-system/team/app@{digests[4]}")
    assert "would delete 4 image object(s)" in run("--keep-tag-revisions=1").stdout
    for option in ("--registry-host=registry.cpaas-system", "--registry-url=http://registry.cpaas-system/v2"):
        assert "would delete 3 image object(s)" in run("--keep-tag-revisions=1", option).stdout


def test_what_the_schedule_keeps_stays_in_a_run_by_hand(run: Run, pruned: PrunedCluster) -> None:
    digests = history(pruned)
    pruned.run(f"second.example.com/team/app@{digests[4]}")
    everything = "would delete 4 image object(s)"
    assert everything in run("--keep-tag-revisions=1").stdout
    pruned.lists[CRONJOBS] = [cronjob("--", "--keep-tag-revisions=1", "--keep-younger-than=60m")]
    assert everything in run().stdout, "revisions are those of the schedule"
    pruned.lists[CRONJOBS] = [cronjob("--", "--registry-host=second.example.com")]
    assert "would delete 3 image object(s)" in run("--keep-tag-revisions=1").stdout
    pruned.lists[CRONJOBS] = [cronjob("--", "--keep-younger-than=3650d")]
    assert "would delete 0 objects" in run("--keep-tag-revisions=1").stdout
    assert everything in run("--keep-tag-revisions=1", "--keep-younger-than=60m").stdout
    pruned.lists[CRONJOBS] = [cronjob("--", "--whitelist=^team/")]
    done = run("--keep-tag-revisions=1", "--confirm")
    assert (done.exit_code, len(pruned.images())) == (0, 5), "what is excluded stays whatever a run says"


def test_who_may_not_read_the_schedule_names_every_rule(run: Run, pruned: PrunedCluster) -> None:
    history(pruned)
    here = ("-n", "team", "--local-usage")

    def refused(*arguments: str) -> str:
        pruned.failures["GET", CRONJOBS] = [403]
        done = run(*here, *arguments)
        assert (done.exit_code, len(pruned.images())) == (3, 5), done.output
        assert {method for method, _ in pruned.asked} == {"GET"}, "nothing was done"
        return done.stderr

    said = refused("--confirm")
    assert "CronJob image-registry-system/image-pruner" in said
    assert "--keep-younger-than, --keep-tag-revisions, --whitelist, --registry-host, --image-field (" in said
    silent = "yourself: --whitelist, --registry-host, --image-field ("
    assert silent in refused("--confirm", "--keep-younger-than=60m", "--keep-tag-revisions=1")
    assert silent in refused("--confirm", "--prune-over-size-limit")
    rules = ("--keep-younger-than=60m", "--keep-tag-revisions=1", "--whitelist=^$", "--image-field=")
    assert "yourself: --registry-host (" in refused("--confirm", *rules)
    pruned.failures["GET", CRONJOBS] = [403]
    shown = run(*here)
    assert shown.exit_code == 0, shown.output
    assert "--confirm is refused without --keep-younger-than" in shown.stderr
    pruned.failures["GET", CRONJOBS] = [403]
    done = run(*here, "--confirm", *rules, "--registry-host=")
    assert done.exit_code == 0, done.output
    assert "Deleted 4 items from image stream team/app" in done.stdout


def test_options_of_other_pruners_are_taken(run: Run, pruned: PrunedCluster) -> None:
    history(pruned)
    done = run(
        "--confirm=true", "--keep-tag-revisions=3", "--keep-younger-than=60m0s", "--ignore-invalid-refs=true",
        "--prune-registry=true", "--certificate-authority=/ca.crt", "--catalog-page-size=1000", "--loglevel=1", "--all",
    )  # fmt: skip
    assert (done.exit_code, len(pruned.images())) == (0, 3), done.output


def test_the_cluster_is_found_as_kubectl_finds_it(tmp_path: Path) -> None:
    config = tmp_path / ".kube" / "config"
    with pytest.raises(Unreachable, match="KUBECONFIG") as refused:
        connect(None, None, {}, tmp_path)
    assert refused.value.exit_code == 4
    config.parent.mkdir()
    document = {
        "current-context": "one",
        "contexts": [{"name": name, "context": {"cluster": name, "user": "me"}} for name in ("one", "two")],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}"}} for name in ("one", "two")],
        "users": [{"name": "me", "user": {"token": "t"}}],
    }
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert connect(None, None, {}, tmp_path).server == "https://one"
    assert connect(None, "two", {"KUBECONFIG": f"/nowhere:{config}"}, Path("/nowhere")).server == "https://two"
    assert connect(config, None, {"KUBECONFIG": "/nowhere"}, Path("/nowhere")).server == "https://one"
    with pytest.raises(Unreachable, match="nowhere"):
        connect(None, None, {"KUBECONFIG": "/nowhere"}, tmp_path)
