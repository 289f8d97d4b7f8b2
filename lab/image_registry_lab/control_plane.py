"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler, as plain processes of the machine."""

from __future__ import annotations

from collections.abc import Callable

from image_registry_lab import addresses
from image_registry_lab.api import Api
from image_registry_lab.pki import Keys
from image_registry_lab.places import Places
from image_registry_lab.process import Processes

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
READY_SECONDS = 120.0
ISSUER = "https://kubernetes.default.svc.cluster.local"


def commands(places: Places) -> dict[str, list[str]]:
    """Every program with its options, in the order of their start."""
    keys = Keys(places.keys)
    return {
        "etcd": _etcd(places, keys),
        "kube-apiserver": _api_server(places, keys),
        "kube-controller-manager": [
            *_client(places, keys, "kube-controller-manager"),
            "--use-service-account-credentials",
            *_options(
                service_account_private_key_file=keys.path("sa.key"),
                root_ca_file=keys.path("ca.crt"),
                cluster_signing_cert_file=keys.path("ca.crt"),
                cluster_signing_key_file=keys.path("ca.key"),
                allocate_node_cidrs="false",  # CNI has fixed ranges
                flex_volume_plugin_dir=str(places.state / "flexvolume"),  # the default is below /usr
                node_monitor_period="2s",
                node_monitor_grace_period="40s",
            ),
        ],
        "kube-scheduler": _client(places, keys, "kube-scheduler"),
    }


def start(places: Places, processes: Processes, api: Api, say: Callable[[str], None]) -> None:
    """Start what does not run and wait for the API server."""
    (places.state / "etcd").mkdir(mode=0o700, parents=True, exist_ok=True)
    programs = commands(places)
    started = [name for name in ("etcd", "kube-apiserver") if processes.start(name, programs[name])]
    if started:
        say(f"started {', '.join(started)}")
    processes.await_ready("kube-apiserver", api.ready, READY_SECONDS)
    if started:
        say(f"kube-apiserver is ready at {addresses.LOCAL_API}")
    later = [name for name in NAMES[2:] if processes.start(name, programs[name])]
    if later:
        say(f"started {', '.join(later)}")


def stop(processes: Processes, say: Callable[[str], None]) -> None:
    """End them, clients before what they talk to."""
    for group in (NAMES[:1:-1], ("kube-apiserver",), ("etcd",)):
        running = [name for name in group if processes.pid(name) is not None]
        processes.stop(group)
        if running:
            say(f"stopped {', '.join(running)}")


def _options(**values: str) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def _client(places: Places, keys: Keys, name: str) -> list[str]:
    kubeconfig = keys.path(f"{name}.kubeconfig")
    return [
        places.program(name),
        *_options(
            kubeconfig=kubeconfig,
            authentication_kubeconfig=kubeconfig,
            authorization_kubeconfig=kubeconfig,
            bind_address="127.0.0.1",
            leader_elect="false",  # nobody else leads, and an old lease would have to run out
        ),
    ]


def _etcd(places: Places, keys: Keys) -> list[str]:
    client, peer = "https://127.0.0.1:2379", "https://127.0.0.1:2380"
    return [
        places.program("etcd"),
        "--client-cert-auth",
        "--peer-client-cert-auth",
        *_options(
            name="lab",
            data_dir=str(places.state / "etcd"),
            listen_client_urls=client,
            advertise_client_urls=client,
            listen_peer_urls=peer,
            initial_advertise_peer_urls=peer,
            initial_cluster=f"lab={peer}",
            log_level="warn",
            trusted_ca_file=keys.path("etcd-ca.crt"),
            cert_file=keys.path("etcd.crt"),
            key_file=keys.path("etcd.key"),
            peer_trusted_ca_file=keys.path("etcd-ca.crt"),
            peer_cert_file=keys.path("etcd.crt"),
            peer_key_file=keys.path("etcd.key"),
        ),
    ]


def _api_server(places: Places, keys: Keys) -> list[str]:
    return [
        places.program("kube-apiserver"),
        "--allow-privileged",
        *_options(
            advertise_address=addresses.HOST,
            bind_address="0.0.0.0",  # noqa: S104 - Pods come by the bridge, the administrator by 127.0.0.1
            secure_port=str(addresses.API_PORT),
            tls_cert_file=keys.path("apiserver.crt"),
            tls_private_key_file=keys.path("apiserver.key"),
            client_ca_file=keys.path("ca.crt"),
            etcd_servers="https://127.0.0.1:2379",
            etcd_cafile=keys.path("etcd-ca.crt"),
            etcd_certfile=keys.path("etcd-client.crt"),
            etcd_keyfile=keys.path("etcd-client.key"),
            service_cluster_ip_range=addresses.SERVICE_RANGE,
            service_account_issuer=ISSUER,
            service_account_key_file=keys.path("sa.pub"),
            service_account_signing_key_file=keys.path("sa.key"),
            authorization_mode="Node,RBAC",
            enable_admission_plugins="NodeRestriction",  # beside the defaults
            kubelet_certificate_authority=keys.path("ca.crt"),
            kubelet_client_certificate=keys.path("apiserver-kubelet-client.crt"),
            kubelet_client_key=keys.path("apiserver-kubelet-client.key"),
            kubelet_preferred_address_types="InternalIP",
            requestheader_client_ca_file=keys.path("front-proxy-ca.crt"),
            requestheader_allowed_names="front-proxy-client",
            requestheader_username_headers="X-Remote-User",
            requestheader_group_headers="X-Remote-Group",
            requestheader_extra_headers_prefix="X-Remote-Extra-",
            proxy_client_cert_file=keys.path("front-proxy-client.crt"),
            proxy_client_key_file=keys.path("front-proxy-client.key"),
            # it tells watchers to go when it is stopped; else it would wait a minute for them
            shutdown_watch_termination_grace_period="2s",
            # aggregated APIs are reached at their Pods: no need of one node's kube-proxy
            enable_aggregator_routing="true",
        ),
    ]
