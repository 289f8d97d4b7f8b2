"""What was found of a legacy registry: an inventory in which every fact says where it comes from.

Nothing in it is secret: of Secrets there are names, keys, hosts and fingerprints, never values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

VERSION = 3
"""Of the form of the document. One of another version lacks what was not looked at then: releases that the platform
applies again, the gateway."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectName:
    """An object of the cluster."""

    kind: str
    name: str
    namespace: str = ""
    api_version: str = "v1"

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that could not be read, why, and the right that would help; ``what`` is stable."""

    what: str
    why: str
    right: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, and the object that says it."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Record:
    """An object that says that the plugin was installed."""

    object: ObjectName
    cluster: str
    """``workload`` or ``global``."""
    version: str = ""
    settings: tuple[Setting, ...] = ()
    undocumented: tuple[str, ...] = ()
    """Names of settings that nobody documents; their values are left alone."""


@dataclass(frozen=True, slots=True)
class SyncFact:
    """An annotation by which the platform applies a release again and again."""

    annotation: str
    value: str
    written_by: tuple[str, ...] = ()
    """Who wrote it, as the API server keeps them (field managers)."""

    @property
    def on(self) -> bool:
        """Whether it has to be taken for one that works: nobody documents its values, so all that do not say no."""
        return self.value.strip().lower() not in ("false", "off", "no", "disabled")


@dataclass(frozen=True, slots=True)
class ReleaseFact:
    """An AppRelease that renders objects of the registry, of its gateway, or of what belongs to them."""

    object: ObjectName
    releases: tuple[str, ...] = ()
    """What its charts are installed as."""
    syncs: tuple[SyncFact, ...] = ()
    made_by: str = ""
    """Who makes the object itself, by its owner or its label; empty if it does not say."""

    @property
    def applied_again(self) -> bool:
        """Whether the platform writes its objects again by itself."""
        return any(sync.on for sync in self.syncs)


@dataclass(frozen=True, slots=True)
class ServicePort:
    port: int
    target: str = ""
    node_port: int = 0


@dataclass(frozen=True, slots=True)
class ServiceFact:
    """``role`` is ``registry``, ``direct`` (past the proxy) or ``gateway``."""

    object: ObjectName
    role: str
    type: str = "ClusterIP"
    addresses: tuple[str, ...] = ()
    ports: tuple[ServicePort, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkloadFact:
    """The Deployment, as it is and as it is ready."""

    object: ObjectName
    replicas: int
    ready: int
    containers: Mapping[str, str] = field(default_factory=dict)
    """Image by name of the container."""
    environment: tuple[Setting, ...] = ()
    """Variables ``REGISTRY_*`` whose values are no secrets."""
    secret_environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that come from Secrets: ``<secret>/<key>``; ``(value)`` for one that stands there in the clear."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    resources: tuple[Setting, ...] = ()
    proxied: bool = False
    """Whether a second container stands before the registry and asks for rights."""


@dataclass(frozen=True, slots=True)
class DriverFact:
    """What distribution's configuration says; parameters without anything that is secret."""

    driver: str
    source: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    secret_parameters: tuple[str, ...] = ()
    delete_enabled: bool | None = None
    read_only: bool | None = None
    address: str = ""
    redirect_disabled: bool | None = None
    """Whether clients get all bytes from the registry itself, never from its bucket."""


@dataclass(frozen=True, slots=True)
class VolumeFact:
    """A PersistentVolume, as far as another claim could be bound to it."""

    object: ObjectName
    phase: str = ""
    capacity: int = 0
    access_modes: tuple[str, ...] = ()
    reclaim_policy: str = ""
    storage_class: str = ""
    kind: str = ""
    """``csi``, ``nfs``, ``hostPath``, ``local``…"""
    attributes: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    """To which it is pinned."""


@dataclass(frozen=True, slots=True)
class StorageFact:
    """Where the bytes lie; ``kind`` is ``pvc``, ``hostPath``, ``s3``, ``emptyDir``, another driver, or ``unknown``."""

    kind: str
    source: str
    claim: ObjectName | None = None
    phase: str = ""
    size: int = 0
    access_modes: tuple[str, ...] = ()
    volume: VolumeFact | None = None
    path: str = ""
    """On the node, for ``hostPath``."""
    nodes: tuple[str, ...] = ()
    root: str = ""
    """``rootdirectory`` of distribution's configuration: for a claim a folder of the container."""
    mounted_at: str = ""
    bucket: str = ""
    region: str = ""
    endpoint: str = ""
    skip_verify: bool = False
    secret: ObjectName | None = None
    secret_keys: tuple[str, ...] = ()
    secret_missing: tuple[str, ...] = ()
    """Keys that should be in it."""
    fingerprint: str = ""
    """Of the credentials: it changes when they do."""
    used: int | None = None
    """Bytes on the volume, as the node counts them."""


@dataclass(frozen=True, slots=True)
class ExposureFact:
    """A way in from outside of the cluster: an Ingress, or the port of nodes."""

    object: ObjectName
    hosts: tuple[str, ...] = ()
    tls_secret: ObjectName | None = None
    tls_secret_exists: bool | None = None
    class_name: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    backend: str = ""
    tls: bool = False
    """Whether the object asks for TLS, be it with a Secret or with what the controller has."""
    roots: Mapping[str, str] = field(default_factory=dict)
    """Where in the object the path of everything (``/``, or none) leads to the registry, and how it is written."""


@dataclass(frozen=True, slots=True)
class LimitRule:
    """One of ``rules``: what matches ``path`` first counts."""

    path: str
    max_image_size: str
    tag_count_limit: str


@dataclass(frozen=True, slots=True)
class LimitFact:
    object: ObjectName
    max_image_size: str = ""
    tag_count_limit: str = ""
    rules: tuple[LimitRule, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PullSecretFact:
    """A Secret with a login for a legacy host."""

    object: ObjectName
    type: str
    hosts: tuple[str, ...] = ()
    """Those of them that are hosts of the legacy registry."""
    other_hosts: int = 0
    managed: bool = False
    """Made by the legacy controller: it comes and goes, and its name changes."""
    expires: str = ""
    used_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleFact:
    verbs: tuple[str, ...]
    resource_names: tuple[str, ...] = ()
    wildcard: bool = False
    """Only by a rule for every resource."""


@dataclass(frozen=True, slots=True)
class RoleFact:
    """A role that the legacy registry asks for, or one that has the name of one of ours."""

    object: ObjectName
    rules: tuple[RuleFact, ...] = ()
    """About images of the legacy registry."""
    foreign_rules: int = 0
    """Rules about anything else."""
    owner: str = ""
    """The Helm release it belongs to, as ``<namespace>/<name>``."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BindingFact:
    object: ObjectName
    role: str
    """``ClusterRole system:image-puller``."""
    subjects: tuple[str, ...] = ()
    managed: bool = False


@dataclass(frozen=True, slots=True)
class CleanupFact:
    """A job that deletes images of the legacy registry."""

    object: ObjectName
    schedule: str = ""
    suspended: bool = False
    arguments: tuple[str, ...] = ()
    unread: bool = False
    """Known by its image or its label alone: what it does stands where nobody has read it, as in a ConfigMap."""


@dataclass(frozen=True, slots=True)
class RestoreMap:
    """By which restores of backups give images another host: one pair. (Facts, MM21)"""

    object: ObjectName
    old: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True)
class UseFact:
    """One place where an image of the legacy registry is named; ``pointer`` is a JSON pointer into the object."""

    pointer: str
    image: str
    place: str = ""
    """``containers[web]``."""


@dataclass(frozen=True, slots=True)
class ConsumerFact:
    """An object that names images of the legacy registry."""

    object: ObjectName
    uses: tuple[UseFact, ...] = ()
    running: tuple[str, ...] = ()
    """Digests that run."""
    controller: str = ""
    """What made the object and keeps it as it is; empty if nobody does."""
    kept_by: str = ""
    """A tool that will write it again from elsewhere: Helm, Argo CD, Flux, a platform release."""
    pull_secrets: tuple[str, ...] = ()
    unreadable: str = ""
    over: bool = False
    """A Job or Pod that has ended: it pulls no image any more."""
    account: str = ""
    """The ServiceAccount as which its Pods run; empty for a custom resource."""


@dataclass(frozen=True, slots=True)
class KindFact:
    """A kind of custom resources that could name images and was not looked at: ``<group>/<version>/<resource>``."""

    name: str
    objects: int
    """That were read: the first page."""
    naming: int = 0
    """How many of them name the legacy registry."""
    fields: tuple[str, ...] = ()
    """Paths at which they do."""


@dataclass(frozen=True, slots=True)
class ControllerFact:
    """The Deployment that makes pull Secrets."""

    object: ObjectName
    replicas: int
    ready: int
    owner: str = ""
    """The release it belongs to, as ``<namespace>/<name>``."""


@dataclass(frozen=True, slots=True)
class GatewayFact:
    """The Registry Gateway: a plugin of its own, through which pushes and pulls may go."""

    workload: WorkloadFact | None = None
    records: tuple[Record, ...] = ()
    pieces: tuple[ObjectName, ...] = ()
    """What else belongs to it and is there: its Service, its limits, its login for another registry, its patches."""
    leads_to: tuple[str, ...] = ()
    """Hosts of the legacy registry that its settings name."""
    past_rights: bool = False
    """One of them leads past the proxy that asks for rights."""
    elsewhere: bool = False
    """It has a login for another registry, so it may be that one's."""
    fronts: bool = False
    """An Ingress with hosts of the legacy registry leads to it."""

    @property
    def ours(self) -> bool:
        """Whether it stands before the legacy registry and before nothing else, as far as that can be seen."""
        return not self.elsewhere and (self.fronts or bool(self.leads_to))


@dataclass(frozen=True, slots=True)
class Installation:
    """One generation, with the pieces that there are."""

    name: str
    versions: str
    records: tuple[Record, ...] = ()
    services: tuple[ServiceFact, ...] = ()
    workload: WorkloadFact | None = None
    driver: DriverFact | None = None
    storage: StorageFact | None = None
    exposures: tuple[ExposureFact, ...] = ()
    missing: tuple[str, ...] = ()
    """Pieces that a whole installation has."""

    @property
    def runs(self) -> bool:
        """Whether a Pod of it is ready."""
        return self.workload is not None and self.workload.ready > 0


@dataclass(frozen=True, slots=True)
class TargetFact:
    """What there is of this registry already."""

    namespace: str
    namespace_exists: bool = False
    config_state: str = ""
    """``spec.managementState`` of Config/cluster; empty without one."""
    release: bool = False
    claims: Mapping[str, int] = field(default_factory=dict)
    """Sizes of claims in its namespace, by name."""
    storage_classes: tuple[str, ...] = ()
    default_class: str = ""
    storage: str = ""
    """The kind of storage that Config names."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything. ``hosts`` are all spellings under which images of the legacy registry can be named."""

    version: int
    taken: str
    server: str
    kubernetes: str
    namespace: str
    target: TargetFact
    cluster: str = ""
    global_cluster: bool = False
    """Whether the global cluster could be asked."""
    installations: tuple[Installation, ...] = ()
    hosts: tuple[str, ...] = ()
    external_hosts: tuple[str, ...] = ()
    """Those of them that clients outside of the cluster use."""
    limits: tuple[LimitFact, ...] = ()
    gateway: ObjectName | None = None
    patches: tuple[ObjectName, ...] = ()
    """ResourcePatches that would bring local changes back."""
    controller: ControllerFact | None = None
    pull_secrets: tuple[PullSecretFact, ...] = ()
    roles: tuple[RoleFact, ...] = ()
    bindings: tuple[BindingFact, ...] = ()
    cleanups: tuple[CleanupFact, ...] = ()
    consumers: tuple[ConsumerFact, ...] = ()
    velero: RestoreMap | None = None
    namespaces: tuple[str, ...] = ()
    nodes: Mapping[str, str] = field(default_factory=dict)
    """State of each node to which storage is pinned."""
    unread: tuple[Unread, ...] = ()
    cluster_uid: str = ""
    """Of its namespace kube-system: which cluster it is, whatever its address."""
    global_uid: str = ""
    fields: tuple[str, ...] = ()
    """Places of images in custom resources that were looked at."""
    releases: tuple[ReleaseFact, ...] = ()
    """What the platform applies, with whether it does so by itself."""
    gateway_parts: GatewayFact | None = None
    """All that belongs to the gateway; its Deployment alone is ``gateway``."""
    further_kinds: tuple[KindFact, ...] = ()
    """Kinds of custom resources that nobody asked to look at, and that could name images."""

    @property
    def retired_gateway(self) -> GatewayFact | None:
        """The gateway, if it goes with the legacy registry."""
        return self.gateway_parts if self.gateway_parts is not None and self.gateway_parts.ours else None

    def could_not_read(self, what: str) -> Unread | None:
        """Why something is not in here."""
        return next((entry for entry in self.unread if entry.what == what), None)
