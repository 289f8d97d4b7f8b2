"""A whole registry in this process, both doors on one database and one storage: filled, lost, and compared."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from flask.testing import FlaskClient

from image_registry.auth.access import Access, Decision
from image_registry.auth.identity import Identity, InvalidCredentials
from image_registry.auth.local import AllowAll
from image_registry.distribution_api.app import create_app as create_data_plane
from image_registry.distribution_api.parts import Parts as DataPlaneParts
from image_registry.garbage.links import clean_pending
from image_registry.image_api.app import create_app as create_image_api
from image_registry.image_api.parts import Parts as ImageAPIParts
from image_registry.imagestreams.imports import Failure, Import, RemoteImage, TagImport
from image_registry.imagestreams.model import TagSource, TagSpec
from image_registry.imagestreams.rebuild_ledger import RebuildLedger
from image_registry.imagestreams.records import Records
from image_registry.imagestreams.service import ImageStreams
from image_registry.kube.front_proxy import FrontProxyTrust
from image_registry.metadata import records, tables
from image_registry.metadata.database import Database
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository
from image_registry.rebuilding.rebuild import Rebuild
from image_registry.rebuilding.recording import Recorder
from image_registry.storage.blob_store import BlobStore
from tests.app import content
from tests.app.schema import migrated

HOST = "registry:5000"
ROOT = "/apis/image.alauda.io/v1"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
STRATEGIC = "application/strategic-merge-patch+json"
COLUMNS_OF_A_DATABASE = {"resource_version", "resourceVersion"}
"""What another database cannot have in common: its own counter."""


class Everybody:
    """A named fake of the cluster: whoever calls is the administrator."""

    @staticmethod
    def decide(identity: Identity, access: Access) -> Decision:
        return Decision(bool(identity and access), "")

    @staticmethod
    def authenticate_token(token: str) -> Identity:
        raise InvalidCredentials(token)

    @staticmethod
    def authenticate_basic(username: str, password: str) -> Identity:
        raise InvalidCredentials(username + password)


class Whole:
    """Both doors, the rebuild and the recorder of one process."""

    def __init__(self, store: BlobStore, url: str) -> None:
        self.store, self.database = store, Database(migrated(url))
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.streams = ImageStreams(self.database, internal_hostname=HOST, clock=self._tick)
        self.ledger, self.tables = RebuildLedger(self.database), Records(self.database)
        self.rebuild = Rebuild(store, self.streams, self.ledger, self.tables)
        self.recorder = Recorder(store, self.tables, self.ledger)
        self.streams.read_storage_with(self.rebuild.read)
        data_plane = DataPlaneParts(store=store, streams=self.streams, authorizer=AllowAll())
        self.registry: FlaskClient = create_data_plane(data_plane).test_client()
        image_api = ImageAPIParts(
            streams=self.streams,
            authorizer=Everybody(),
            authenticator=Everybody(),
            front_proxy=lambda: FrontProxyTrust(ca="", allowed_names=frozenset({"proxy"})),
            internal_hostname=HOST,
            public_hostname=None,
            namespace_phase=lambda _name: "Active",
        )
        self.api: FlaskClient = create_image_api(image_api).test_client()

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    # what people do

    def push(self, repository: str, seed: str, tag: str, **extra: Any) -> Manifest:
        """An image by the registry's door, as a client does it."""
        layer, config = f"layer of {seed}".encode(), json.dumps({"architecture": "amd64", "os": seed}).encode()
        described = {"mediaType": LAYER, "digest": str(Digest.of(layer)), "size": len(layer)}
        settings = {"mediaType": media_types.OCI_CONFIG, "digest": str(Digest.of(config)), "size": len(config)}
        made = content.image(seed, config, layers=[described], config=settings, **extra)
        for blob in (layer, config):
            answer = self.registry.post(f"/v2/{repository}/blobs/uploads/?digest={Digest.of(blob)}", data=blob)
            assert answer.status_code == 201, answer.text
        self.put(repository, made, tag)
        return made

    def put(self, repository: str, manifest: Manifest, tag: str) -> None:
        answer = self.registry.put(
            f"/v2/{repository}/manifests/{tag}", data=manifest.raw, content_type=manifest.media_type
        )
        assert answer.status_code == 201, answer.text

    def write(self, method: str, path: str, document: Any, content_type: str = "application/json") -> Any:
        answer = self.api.open(f"{ROOT}/{path}", method=method, data=json.dumps(document), content_type=content_type)
        assert answer.status_code in (200, 201), answer.text
        return answer.get_json()

    def echo(self) -> None:
        """What is done in the background: the links of tags follow, those of what was deleted go."""
        clean_pending(self.store, self.streams)
        for repository in self.streams.unechoed():
            self.streams.settle(repository, self.store.write_tags)

    # what it becomes

    def objects(self) -> dict[str, Any]:
        """Every object of the Image API, whole, by kind and name."""
        found = {}
        for kind in ("images", "imagestreams", "imagestreamtags", "imagetags"):
            for item in self.api.get(f"{ROOT}/{kind}").get_json()["items"]:
                meta = item["metadata"]
                at = f"namespaces/{meta['namespace']}/" if "namespace" in meta else ""
                path = f"{at}{kind}/{quote(meta['name'], safe='')}"
                found[path] = _comparable(self.api.get(f"{ROOT}/{path}").get_json())
        return found

    def rows(self) -> dict[str, Any]:
        """The same as rows, with what no door shows."""
        with self.database.read() as connection:
            streams = connection.execute(tables.image_streams.select()).all()
            images = connection.execute(tables.images.select()).all()
            return {
                **{
                    f"{row.namespace}/{row.name}": _comparable(
                        records.of_stream(connection, row.namespace, row.name) or {}
                    )
                    for row in streams
                },
                **{row.digest: _comparable(records.of_image(connection, row.digest) or {}) for row in images},
            }

    def close(self) -> None:
        self.database.dispose()


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        if "tag_events" in value:  # an order there is within a tag only
            value = {**value, "tag_events": sorted(value["tag_events"], key=lambda row: str(row["tag"]))}
        return {name: _comparable(part) for name, part in value.items() if name not in COLUMNS_OF_A_DATABASE}
    return [_comparable(part) for part in value] if isinstance(value, list) else value


def fill(whole: Whole) -> dict[str, Manifest]:
    """Something of everything that there is."""
    made = {seed: whole.push("team/app", seed, tag) for seed, tag in (("one", "v1"), ("two", "v2"), ("three", "v1"))}
    whole.push("team/app", "one", "v1")  # a tag that means for the second time what it meant before
    both = content.index(made["one"], made["two"])
    whole.put("team/app", both, "all")
    made["signature"] = whole.push(
        "team/app",
        "signature",
        "sha256-signature",
        subject={"mediaType": both.media_type, "digest": str(both.digest), "size": len(both.raw)},
    )
    whole.push("other/app", "one", "copy")
    stream = {"apiVersion": "image.alauda.io/v1", "kind": "ImageStream"}
    wanted = {
        "metadata": {
            "name": "wanted",
            "labels": {"team": "a"},
            "annotations": {"why": "tést ✓"},
            "finalizers": ["example.com/hold"],
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1-2-3"}],
        },
        "spec": {
            "lookupPolicy": {"local": True},
            "tags": [
                {
                    "name": "follows",
                    "annotations": {"a": "b"},
                    "from": {"kind": "ImageStreamTag", "name": "app:v1", "namespace": "team"},
                    "referencePolicy": {"type": "Local"},
                },
                {"name": "points", "from": {"kind": "DockerImage", "name": "quay.io/a/b:c"}, "reference": True},
            ],
        },
    }
    whole.write("POST", "namespaces/team/imagestreams?fieldManager=somebody", {**stream, **wanted})
    more = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"tags": [{"name": "prod", "from": {"kind": "ImageStreamTag", "name": "v1"}}]},
    }
    whole.write("PATCH", "namespaces/team/imagestreams/app", more, STRATEGIC)
    one = str(made["one"].digest)
    whole.write(
        "PATCH", f"images/{one}", {"metadata": {"annotations": {"seen": "by us"}, "labels": {"l": "1"}}}, STRATEGIC
    )
    sign = {"type": "AtomicImageV1", "content": base64.b64encode(b"signed").decode()}
    whole.write("POST", "imagesignatures", {"metadata": {"name": f"{one}@first"}, **sign})
    signed = {"schemaVersion": 2, "name": f"{made['two'].digest}@second", "type": "atomic", "content": sign["content"]}
    answer = whole.registry.put(f"/extensions/v2/team/app/signatures/{made['two'].digest}", json=signed)
    assert answer.status_code == 201, answer.text
    whole.push("team/gone", "orphan", "v1")
    assert whole.api.delete(f"{ROOT}/namespaces/team/imagestreams/gone").status_code == 200
    remote = RemoteImage(content.image("elsewhere"), None, "quay.io/team/app")
    tags = (
        TagImport(TagSpec("stable", TagSource("DockerImage", "quay.io/team/app:stable"), scheduled=True), (remote,)),
        TagImport(
            TagSpec("missing", TagSource("DockerImage", "quay.io/team/app:no")), failure=Failure("NotFound", "no")
        ),
    )
    request = Import(
        repository=Repository("team", "imported"), tags=tags, imported_by="somebody", confirm_create=lambda: None
    )
    whole.streams.imports.apply(request)
    whole.echo()
    return made
