"""A legacy registry's bucket is surveyed by what the cluster tells of it."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from image_registry.migration import surveying
from image_registry.migration.storage_facts import S3_KEYS
from image_registry.storage.choice import S3, Storage
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.conftest import cluster_of, inventory_of
from tests.serve.test_adoption import Writer
from tests.stores import servers
from tests.stores.test_distribution import distribution

pytestmark = pytest.mark.slow


def test_a_bucket_is_surveyed_with_the_credentials_of_its_secret(
    backends: Callable[[str], Storage], tmp_path: Path
) -> None:
    bucket = servers.apart(backends("s3"), tmp_path)
    assert isinstance(bucket, S3)
    writer = Writer(11)
    with distribution(bucket, tmp_path) as theirs:
        writer.write(theirs, 15)
    cluster = cluster_of(VARIANTS["4.2-s3"])
    secret = cluster.get("/api/v1/namespaces/cpaas-system/secrets/registry-s3-secret")
    keys = dict(zip(S3_KEYS, (bucket.accesskey, bucket.secretkey), strict=True))
    cluster.put({**secret, "data": {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}})
    found = inventory_of(cluster)
    [entry] = found.installations
    assert entry.storage is not None
    told = dataclasses.replace(
        entry.storage,
        bucket=bucket.bucket,
        region=bucket.region,
        endpoint=bucket.regionendpoint,
        root=f"/{bucket.rootdirectory}",
    )
    found = dataclasses.replace(found, installations=(dataclasses.replace(entry, storage=told),))
    summary = surveying.survey(surveying.bucket_of(found, cluster), tmp_path / "content.jsonl")
    assert summary.tags == len(writer.tags)
    assert summary.problems == {}
    wrong = surveying.InBucket(dataclasses.replace(surveying.bucket_of(found, cluster).storage, secretkey="wrong"))
    with pytest.raises(surveying.NoAnswer, match="the storage cannot be read"):
        surveying.survey(wrong, tmp_path / "other.jsonl")
