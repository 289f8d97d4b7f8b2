"""Configuration of a node's programs, as text. Settings that a cluster here does not start without say why.

JSON is YAML, so files for Kubernetes are written as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path

from image_registry_lab import addresses, archives

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CNI_PROGRAMS = "/usr/lib/cni"


def containerd() -> str:
    """containerd's file; everything it writes stays in folders that the node covers with its own."""
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{archives.PAUSE}"
  # without CAP_SYS_RESOURCE runc may not lower oom_score_adj and no Pod would start
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PROGRAMS}"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    # hosts.toml is read at each pull: a registry's authority is trusted without a restart
    config_path = "/etc/containerd/certs.d"
"""


def cni(node: str) -> str:
    """Pods on a bridge of the node, with their own addresses all the way (no masquerade)."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "isDefaultGateway": True,
        "ipMasq": False,
        "hairpinMode": True,  # a Pod reaches itself through its Service
        "ipam": {"type": "host-local", "ranges": [[{"subnet": addresses.pod_range(node)}]]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": "lab", "plugins": [bridge, ports]}, indent=1)


def kubelet(node: str, keys: Path, resolver: Path) -> str:
    """KubeletConfiguration."""
    content = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/lab/{node}",  # a kubelet removes groups of Pods that it does not know: one root each
        "failCgroupV1": False,
        "featureGates": {"KubeletInUserNamespace": True},
        "maxOpenFiles": 20000,  # limits cannot rise
        "oomScoreAdj": 0,
        "address": addresses.node_address(node),
        "authentication": {
            "x509": {"clientCAFile": str(keys / "ca.crt")},
            "webhook": {"enabled": True},
            "anonymous": {"enabled": False},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(keys / f"kubelet-{node}.crt"),
        "tlsPrivateKeyFile": str(keys / f"kubelet-{node}.key"),
        "clusterDNS": [addresses.DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolver),
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        # A node that dies in the middle of a pull keeps a record of it and would pull an imported image for ever.
        "imagePullCredentialsVerificationPolicy": "NeverVerifyAllowlistedImages",
        "preloadedImagesVerificationAllowlist": ["lab.local/*"],
        "serializeImagePulls": False,
        # The defaults are shares of the whole disk; imported images cannot be pulled again, so none is collected.
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }
    return json.dumps(content, indent=1)


def kube_proxy(node: str, keys: Path) -> str:
    """KubeProxyConfiguration."""
    content = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": node,
        "clientConnection": {"kubeconfig": str(keys / "kube-proxy.kubeconfig")},
        "clusterCIDR": addresses.POD_RANGE,
        "detectLocalMode": "ClusterCIDR",
        "conntrack": {"maxPerCore": 0, "min": 0},  # nf_conntrack_max is not a network namespace's to set
        "oomScoreAdj": 0,
    }
    return json.dumps(content, indent=1)


def hosts(node: str) -> str:
    """The first content of a node's /etc/hosts; whoever adds lines does so in place."""
    return f"127.0.0.1 localhost\n{addresses.node_address(node)} {node}\n"
