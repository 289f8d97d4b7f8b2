"""Which resources this API has and which verbs it truly serves: the one list behind discovery, OpenAPI and routes.

A verb published is a promise to controllers: list and watch together with delete bring the garbage collector, which
must not see ``imagestreamtags`` because they carry the uid of their stream (parity reference 2.5): these cannot be
watched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from image_registry.auth.access import IMAGE_GROUP

VERSION = "v1"
GROUP_VERSION = f"{IMAGE_GROUP}/{VERSION}"
ROOT = f"/apis/{GROUP_VERSION}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One row of ``kubectl api-resources``."""

    name: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    """Sorted, as served."""
    unpublished: tuple[str, ...] = ()
    """Those of them that discovery keeps to itself, because a controller would make use of what is meant for people."""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresource: str = ""
    """The part behind the slash of a name such as ``imagestreams/status``."""
    managed: bool = True
    """Objects remember who set what."""
    create_on_update: bool = False
    """Replacing what does not exist makes it."""
    command: bool = False
    """Making one is a command about another object; what it says of uid and resourceVersion is about that one."""
    unconditional_update: bool = False
    """An update need not say which state it is made from."""
    group: str = IMAGE_GROUP
    """The group that serves it."""
    kind_group: str = IMAGE_GROUP
    """The group of its kind."""

    @property
    def published(self) -> tuple[str, ...]:
        """The verbs that discovery tells, sorted."""
        return tuple(verb for verb in self.verbs if verb not in self.unpublished)

    @property
    def singular(self) -> str:
        """The name in the singular: the kind in lower case; a subresource has none."""
        return "" if self.subresource else self.kind.lower()

    @property
    def plural(self) -> str:
        """The name without the subresource."""
        return self.name.partition("/")[0]

    @property
    def title(self) -> str:
        """What the identifiers of its operations call it."""
        return self.kind + self.subresource.capitalize() if self.subresource == "status" else self.kind

    def path(self, *, one: bool, everywhere: bool = False, variable: str = "{%s}") -> str:
        """Where it is served; ``variable`` is how the router writes the names of parts."""
        inside = "" if everywhere or not self.namespaced else f"/namespaces/{variable % 'namespace'}"
        path = f"{ROOT}{inside}/{self.plural}"
        if one:
            path += f"/{variable % 'name'}"
        return path + (f"/{self.subresource}" if self.subresource else "")

    @property
    def list_kind(self) -> str:
        """The kind of a list of these."""
        return f"{self.kind}List"


IMAGES = Resource(
    "images",
    "Image",
    namespaced=False,
    verbs=("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"),
)
SIGNATURES = Resource("imagesignatures", "ImageSignature", namespaced=False, verbs=("create", "delete"), managed=False)
STREAMS = Resource(
    "imagestreams",
    "ImageStream",
    namespaced=True,
    verbs=("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"),
    short_names=("is",),
    categories=("all",),
)
STREAM_STATUS = Resource(
    "imagestreams/status", "ImageStream", namespaced=True, verbs=("get", "patch", "update"), subresource="status"
)
STREAM_LAYERS = Resource(
    "imagestreams/layers", "ImageStreamLayers", namespaced=True, verbs=("get",), subresource="layers", managed=False
)
STREAM_SECRETS = Resource(
    "imagestreams/secrets", "SecretList", namespaced=True, verbs=("get",), subresource="secrets", managed=False
)
STREAM_TAGS = Resource(
    "imagestreamtags",
    "ImageStreamTag",
    namespaced=True,
    verbs=("create", "delete", "deletecollection", "get", "list", "patch", "update"),
    short_names=("istag",),
    managed=False,
    create_on_update=True,
    unconditional_update=True,
)
IMAGE_TAGS = replace(STREAM_TAGS, name="imagetags", kind="ImageTag", short_names=("itag",))
STREAM_IMAGES = Resource(
    "imagestreamimages",
    "ImageStreamImage",
    namespaced=True,
    verbs=("delete", "get", "list"),
    # the namespace controller would delete each image of a namespace that ends, and be refused while a tag means it;
    # with the streams all of them go
    unpublished=("delete",),
    short_names=("isimage",),
    managed=False,
)
MAPPINGS = Resource("imagestreammappings", "ImageStreamMapping", namespaced=True, verbs=("create",), managed=False)

IMPORTS = Resource(
    "imagestreamimports", "ImageStreamImport", namespaced=True, verbs=("create",), managed=False, command=True
)

RESOURCES = (
    IMAGES,
    SIGNATURES,
    STREAMS,
    STREAM_LAYERS,
    STREAM_SECRETS,
    STREAM_STATUS,
    STREAM_TAGS,
    IMAGE_TAGS,
    STREAM_IMAGES,
    MAPPINGS,
    IMPORTS,
)
