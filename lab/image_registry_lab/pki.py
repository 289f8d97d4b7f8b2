"""Every key and certificate of the cluster, and the kubeconfigs, by openssl. What exists is kept.

Three authorities as on a real cluster: the cluster's, etcd's, and the front proxy's, which alone may vouch for users in
requests to aggregated APIs.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from image_registry_lab import addresses
from image_registry_lab.process import run

DAYS = "3650"
COMPONENTS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
}
"""Clients of the API server with the subject that gives them their rights."""

API_SERVER_NAMES = (
    "DNS:kubernetes",
    "DNS:kubernetes.default",
    "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local",
    "DNS:localhost",
    "IP:127.0.0.1",
    f"IP:{addresses.HOST}",
    f"IP:{addresses.KUBERNETES_SERVICE}",
)


class Keys:
    """The folder of keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> str:
        """A file of the folder, for a command line."""
        return str(self.folder / name)

    def make_cluster(self) -> None:
        """Authorities, the control plane's certificates, the keys of ServiceAccount tokens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        for authority in ("ca", "etcd-ca", "front-proxy-ca"):
            self._authority(authority)
        self._certificate("etcd-ca", "etcd", "/CN=etcd", "serverAuth,clientAuth", ("IP:127.0.0.1", "DNS:localhost"))
        self._certificate("etcd-ca", "etcd-client", "/CN=kube-apiserver", "clientAuth")
        self._certificate("front-proxy-ca", "front-proxy-client", "/CN=front-proxy-client", "clientAuth")
        self._certificate("ca", "apiserver", "/CN=kube-apiserver", "serverAuth", API_SERVER_NAMES)
        self._certificate("ca", "apiserver-kubelet-client", "/CN=kube-apiserver-kubelet-client", "clientAuth")
        for name, subject in COMPONENTS.items():
            self._certificate("ca", name, subject, "clientAuth")
            self._kubeconfig(name, addresses.NODE_API)
        if not (self.folder / "sa.pub").exists():
            run(["openssl", "genrsa", "-out", self.path("sa.key"), "2048"])
            run(["openssl", "rsa", "-in", self.path("sa.key"), "-pubout", "-out", self.path("sa.pub.new")])
            (self.folder / "sa.pub.new").replace(self.folder / "sa.pub")

    def make_node(self, node: str) -> None:
        """A node's identity towards the API server, and the certificate its kubelet serves with."""
        self._certificate("ca", f"node-{node}", f"/O=system:nodes/CN=system:node:{node}", "clientAuth")
        self._kubeconfig(f"node-{node}", addresses.NODE_API)
        names = (f"DNS:{node}", f"IP:{addresses.node_address(node)}")
        self._certificate("ca", f"kubelet-{node}", f"/CN={node}", "serverAuth", names)

    def write_admin(self, target: Path) -> None:
        """The administrator's kubeconfig, by the address that works on this machine only."""
        _write_private(target, self._client("admin", addresses.LOCAL_API))

    def _key(self, name: str) -> None:
        target = self.folder / f"{name}.key"
        if not target.exists():
            made = run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"])
            _write_private(target, made)

    def _authority(self, name: str) -> None:
        target = self.folder / f"{name}.crt"
        if target.exists():
            return
        self._key(name)
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,digitalSignature")
        options = [option for extension in extensions for option in ("-addext", extension)]
        command = ["openssl", "req", "-x509", "-new", "-key", self.path(f"{name}.key"), "-subj", f"/CN={name}"]
        _write_private(target, run([*command, "-days", DAYS, *options]))

    def _certificate(self, authority: str, name: str, subject: str, usage: str, names: tuple[str, ...] = ()) -> None:
        target = self.folder / f"{name}.crt"
        if target.exists():
            return
        self._key(name)
        request = run(["openssl", "req", "-new", "-key", self.path(f"{name}.key"), "-subj", subject])
        extensions = self.folder / f"{name}.extensions"
        extensions.write_text(certificate_extensions(usage, names), encoding="ascii")
        command = ["openssl", "x509", "-req", "-CA", self.path(f"{authority}.crt"), "-days", DAYS]
        command += ["-CAkey", self.path(f"{authority}.key"), "-extfile", str(extensions)]
        made = run([*command, "-CAserial", self.path(f"{authority}.srl"), "-CAcreateserial"], text=request)
        extensions.unlink()
        _write_private(target, made)

    def _client(self, name: str, server: str) -> str:
        material = [(self.folder / file).read_bytes() for file in ("ca.crt", f"{name}.crt", f"{name}.key")]
        return kubeconfig(name, server, *material)

    def _kubeconfig(self, name: str, server: str) -> None:
        _write_private(self.folder / f"{name}.kubeconfig", self._client(name, server))


def certificate_extensions(usage: str, names: tuple[str, ...]) -> str:
    """What openssl reads from its extension file for a certificate that signs nothing further."""
    lines = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature,keyEncipherment"]
    lines.append(f"extendedKeyUsage={usage}")
    if names:
        lines.append(f"subjectAltName={','.join(names)}")
    return "\n".join(lines) + "\n"


def kubeconfig(user: str, server: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    """A kubeconfig with one context; JSON is YAML."""

    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode("ascii")

    cluster = {"server": server, "certificate-authority-data": encoded(authority)}
    client = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": user, "user": client}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
    }
    return json.dumps(document, indent=1) + "\n"


def _write_private(target: Path, text: str) -> None:
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return
    temporary = target.with_name(f".{target.name}.new")
    temporary.touch(mode=0o600)
    temporary.chmod(0o600)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(target)
