"""Where the API server is and as whom we speak to it: from the Pod's files, or from a kubeconfig that was named.

An ambient ``KUBECONFIG`` or ``~/.kube/config`` is never looked at: nothing may touch a cluster that nobody named.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_registry.kube.errors import KubeconfigError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where kubelet mounts the token, the cluster's CA and the namespace of a Pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address with trust and credentials. Files win over values: they are read again when they change."""

    server: str
    source: str
    """Where this comes from, for error messages."""
    namespace: str = ""
    """Where people who use it work, if that is said."""
    ca: str = ""
    ca_file: Path | None = None
    verify: bool = True
    server_name: str = ""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    in_pod: bool = False
    """Whether we speak from inside of the cluster."""

    def files(self) -> tuple[tuple[int, int] | None, ...]:
        """Changes when the CA file does."""
        return (stamp(self.ca_file),) if self.ca_file else ()

    def context(self) -> ssl.SSLContext:
        """A client TLS context. Raises :class:`KubeconfigError` for a CA, certificate or key that cannot be read."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file, cadata=self.ca or None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if not self.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.certificate:
                # the ssl module reads key pairs from files alone
                with tempfile.TemporaryDirectory(prefix="image-registry-") as folder:
                    pair = Path(folder) / "pair.pem"
                    pair.touch(mode=0o600)
                    pair.write_bytes(self.certificate + b"\n" + self.key)
                    context.load_cert_chain(pair)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise KubeconfigError(
                f"the CA or the client certificate of {self.source} cannot be used: {error}"
            ) from None
        return context


def stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written or swapped by symlink, as kubelet does it."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def pod_namespace(folder: Path | None = None) -> str:
    """The namespace of the Pod we run in. Raises :class:`KubeconfigError` elsewhere."""
    folder = folder or SERVICE_ACCOUNT
    try:
        return (folder / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        raise KubeconfigError(f"not in a Pod: {folder}/namespace cannot be read") from None


def from_pod(environment: Mapping[str, str] = os.environ, folder: Path | None = None) -> Endpoint:
    """The API server and service account of the Pod we run in. Raises :class:`KubeconfigError` elsewhere."""
    folder = folder or SERVICE_ACCOUNT
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    token_file, ca_file = folder / "token", folder / "ca.crt"
    if not host or not token_file.exists() or not ca_file.exists():
        raise KubeconfigError(
            "this process is not in a Pod with a service account token: set automountServiceAccountToken, "
            "or name a kubeconfig"
        )
    if ":" in host:
        host = f"[{host}]"
    try:
        namespace = pod_namespace(folder)
    except KubeconfigError:
        namespace = ""
    return Endpoint(
        server=f"https://{host}:{port}",
        source="the Pod's service account",
        namespace=namespace,
        ca_file=ca_file,
        token_file=token_file,
        in_pod=True,
    )


def from_kubeconfig(path: Path, context: str | None = None) -> Endpoint:
    """One context of a kubeconfig file, the current one unless named. Raises :class:`KubeconfigError`."""
    import yaml  # of no use in a Pod

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KubeconfigError(f"cannot read the kubeconfig {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise KubeconfigError(f"the kubeconfig {path} is not YAML") from None
    if not isinstance(document, dict):
        raise KubeconfigError(f"the kubeconfig {path} is empty or not a mapping")
    wanted = context or document.get("current-context")
    if not wanted:
        raise KubeconfigError(f"the kubeconfig {path} has no current-context: name a context")
    chosen = _named(document, "contexts", "context", wanted, path)
    cluster = _named(document, "clusters", "cluster", chosen.get("cluster"), path)
    user = _named(document, "users", "user", chosen["user"], path) if chosen.get("user") else {}
    source = f"context {wanted!r} of the kubeconfig {path}"
    for key in ("exec", "auth-provider"):
        if key in user:
            raise KubeconfigError(
                f"{source} gets its credentials from a program ({key}), which is not run here: "
                "make a kubeconfig with a token or a client certificate, for example with `kubectl create token`"
            )
    server = str(cluster.get("server", ""))
    if not server.startswith("https://"):
        raise KubeconfigError(f"{source} has the server {server!r}: an address that begins with https:// is needed")
    if cluster.get("proxy-url"):
        raise KubeconfigError(f"{source} asks for a proxy (proxy-url), which is not supported here")
    ca = _content(cluster, "certificate-authority", path)
    certificate, key_pem = _content(user, "client-certificate", path), _content(user, "client-key", path)
    if bool(certificate) != bool(key_pem):
        raise KubeconfigError(f"{source} has a client certificate without its key, or a key without its certificate")
    token_file = user.get("tokenFile")
    return Endpoint(
        server=server.rstrip("/"),
        source=source,
        namespace=str(chosen.get("namespace") or ""),
        ca=ca.decode("ascii", "replace"),
        verify=not cluster.get("insecure-skip-tls-verify", False),
        server_name=str(cluster.get("tls-server-name", "")),
        token=str(user.get("token", "")),
        token_file=path.parent / token_file if token_file else None,
        username=str(user.get("username", "")),
        password=str(user.get("password", "")),
        certificate=certificate,
        key=key_pem,
    )


def _named(document: Mapping[str, Any], plural: str, singular: str, name: object, path: Path) -> Mapping[str, Any]:
    entries = document.get(plural) or []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(singular), dict):
            found: Mapping[str, Any] = entry[singular]
            return found
    raise KubeconfigError(f"the kubeconfig {path} has no {singular} named {name!r}")


def _content(entry: Mapping[str, Any], key: str, path: Path) -> bytes:
    """``<key>-data`` (base64), or the file that ``<key>`` names relative to the kubeconfig; empty without both."""
    data, file = entry.get(f"{key}-data"), entry.get(key)
    try:
        if data:
            return base64.b64decode(data, validate=True)
        return (path.parent / file).read_bytes() if file else b""
    except (binascii.Error, ValueError, TypeError):
        raise KubeconfigError(f"{key}-data in the kubeconfig {path} is not base64") from None
    except OSError as error:
        raise KubeconfigError(f"cannot read {key} {file} of the kubeconfig {path}: {error.strerror}") from None
