"""The variables of a storage that ``config.storage`` describes, for a process that no chart has made.

They are those of the chart's data plane (a test compares them), without what only readers of a registry need. Where the
credentials and the CA lie is said by who mounts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS = ("pvc", "emptyDir", "s3", "gcs", "azure", "swift", "ibmcos", "oss")
_CLOUDS = {"AzureUSGovernmentCloud": "core.usgovcloudapi.net", "AzureChinaCloud": "core.chinacloudapi.cn"}

Settings = Mapping[str, Any]


class NoStorage(ValueError):
    """The description names no storage that can be copied to; the text says why."""


def chosen(storage: Settings) -> tuple[str, dict[str, Any]]:
    """The one kind and its settings. Raises :class:`NoStorage`."""
    found = [(kind, dict(storage[kind])) for kind in KINDS if isinstance(storage.get(kind), Mapping)]
    if len(found) != 1:
        raise NoStorage(f"name exactly one of {', '.join(KINDS)} in the storage; it has {len(found)}")
    if found[0][0] == "emptyDir":
        raise NoStorage("an emptyDir goes with its Pod: nothing can be copied into it")
    return found[0]


def variables(storage: Settings, *, credentials: str, ca: str = "") -> dict[str, str]:
    """For an object store; ``credentials`` is a folder and ``ca`` a file. Raises :class:`NoStorage`."""
    kind, given = chosen(storage)
    if kind == "pvc":
        raise NoStorage("a claim is mounted, and needs no variables")
    protocol, found = _BY_KIND[kind](given)
    found |= {"ROOTDIRECTORY": given.get("rootDirectory"), "TRUSTEDCA": ca if protocol in ("s3", "swift") else ""}
    if given.get("chunkSizeMiB"):
        found["CHUNKSIZE"] = int(given["chunkSizeMiB"]) << 20
    named = {f"REGISTRY_STORAGE_{protocol.upper()}_{name}": _text(value) for name, value in found.items()}
    told = {name: text for name, text in named.items() if text}
    return {"REGISTRY_STORAGE": protocol, "REGISTRY_STORAGE_CREDENTIALS": credentials, **told}


def _s3(given: Settings) -> tuple[str, dict[str, Any]]:
    return "s3", {
        "BUCKET": given.get("bucket"),
        "REGION": given.get("region"),
        "REGIONENDPOINT": given.get("regionEndpoint"),
        "FORCEPATHSTYLE": not given.get("virtualHostedStyle"),
        "SKIPVERIFY": given.get("skipVerify") or None,
        "ENCRYPT": given.get("encrypt") or None,
        "KEYID": given.get("keyID"),
    }


def _ibmcos(given: Settings) -> tuple[str, dict[str, Any]]:
    location = given.get("location")
    endpoint = f"https://s3.{location}.cloud-object-storage.appdomain.cloud"
    return "s3", {"BUCKET": given.get("bucket"), "REGION": location, "REGIONENDPOINT": endpoint}


def _oss(given: Settings) -> tuple[str, dict[str, Any]]:
    region, inside = given.get("region"), given.get("endpointAccessibility") != "Public"
    encryption = given.get("encryption")
    return "s3", {
        "BUCKET": given.get("bucket"),
        "REGION": region,
        "REGIONENDPOINT": f"https://oss-{region}{'-internal' if inside else ''}.aliyuncs.com",
        "FORCEPATHSTYLE": False,
        "ENCRYPT": True if encryption else None,
        "KEYID": ((encryption or {}).get("kms") or {}).get("keyID"),
    }


def _gcs(given: Settings) -> tuple[str, dict[str, Any]]:
    return "gcs", {"BUCKET": given.get("bucket"), "KEYID": given.get("keyID")}


def _azure(given: Settings) -> tuple[str, dict[str, Any]]:
    realm = _CLOUDS.get(str(given.get("cloudName") or ""))
    return "azure", {"ACCOUNTNAME": given.get("accountName"), "CONTAINER": given.get("container"), "REALM": realm}


def _swift(given: Settings) -> tuple[str, dict[str, Any]]:
    return "swift", {
        "AUTHURL": given.get("authURL"),
        "AUTHVERSION": given.get("authVersion"),
        "CONTAINER": given.get("container"),
        "DOMAIN": given.get("domain"),
        "DOMAINID": given.get("domainID"),
        "TENANT": given.get("tenant"),
        "TENANTID": given.get("tenantID"),
        "REGION": given.get("regionName"),
    }


_BY_KIND = {"s3": _s3, "ibmcos": _ibmcos, "oss": _oss, "gcs": _gcs, "azure": _azure, "swift": _swift}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
