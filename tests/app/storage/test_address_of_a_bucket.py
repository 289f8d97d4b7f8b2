"""Where the requests for a bucket of Amazon go decides whether a proxy is asked; botocore is asked what the host is."""

from __future__ import annotations

import pytest

from image_registry.proxies import Proxies, Proxy
from image_registry.storage import s3
from image_registry.storage.choice import S3

PROXY = Proxy.parse("http://proxy.test:3128")


@pytest.mark.parametrize(
    ("region", "entry", "direct"),
    [
        ("cn-north-1", ".amazonaws.com.cn", True),
        ("cn-north-1", ".amazonaws.com", False),
        ("eu-central-1", ".amazonaws.com", True),
        ("eu-central-1", ".amazonaws.com.cn", False),
    ],
)
@pytest.mark.parametrize("pathstyle", [True, False])
def test_a_bucket_is_named_by_the_domain_of_its_region(region: str, entry: str, direct: bool, pathstyle: bool) -> None:
    proxies = Proxies(PROXY, PROXY, (entry,))
    settings = S3(
        bucket="images", region=region, forcepathstyle=pathstyle, accesskey="a", secretkey="b", proxies=proxies
    )
    client = s3.S3Client(settings)._s3  # what it hands to botocore is shown nowhere else
    assert client.meta.endpoint_url.endswith(entry) is direct
    assert (client.meta.config.proxies == {}) is direct
