"""From a path and a method to a verb on a collection: who calls, may they, what exactly, in which form.

The order is that of the kube-apiserver: permission comes before everything that looks at an object, so a refusal says
nothing about whether one exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from flask import Blueprint, Response, request

from image_registry.auth import trail
from image_registry.auth.access import Access
from image_registry.image_api import (
    admission,
    answers,
    bodies,
    deletion,
    documents,
    gate,
    listing,
    openapi,
    parameters,
    status,
    tables,
    watching,
    whole_lists,
    write_options,
    writing,
)
from image_registry.image_api.collections import Collection, Watchable
from image_registry.image_api.detail import Detail, needed
from image_registry.image_api.documents import Document, Hosts
from image_registry.image_api.gate import require
from image_registry.image_api.identity import identify
from image_registry.image_api.image_kind import WritableImages
from image_registry.image_api.import_kind import StreamImports
from image_registry.image_api.kinds import Call, Kind
from image_registry.image_api.leaving import OVER
from image_registry.image_api.listing import Listing
from image_registry.image_api.negotiation import Representation, Shape, negotiate, negotiate_watch
from image_registry.image_api.parts import Parts
from image_registry.image_api.projections import Mappings, StreamImages, StreamLayers
from image_registry.image_api.secret_kind import StreamSecrets
from image_registry.image_api.signature_kind import Signatures
from image_registry.image_api.stream_kind import StreamStatuses, WritableStreams
from image_registry.image_api.tag_kinds import ImageTags, WritableStreamTags
from image_registry.image_api.watch_hub import Hub

NO_WATCH = "objects of this kind cannot be watched: watch the imagestreams they belong to"


def blueprint(parts: Parts) -> Blueprint:
    """Routes of all resources; what has no route is unknown, what has no method is not allowed."""
    routes = Blueprint("objects", __name__)
    hosts = Hosts(parts.internal_hostname, parts.public_hostname or "")
    hub = Hub(parts.streams.changes, parts.most_watches)
    collections: tuple[Collection, ...] = (
        WritableImages(parts.streams),
        Signatures(parts.streams),
        WritableStreams(parts.streams, hosts),
        StreamStatuses(parts.streams, hosts),
        StreamLayers(parts.streams),
        StreamSecrets(parts.streams, parts.pull_secrets),
        WritableStreamTags(parts.streams, hosts),
        ImageTags(parts.streams, hosts),
        StreamImages(parts.streams),
        Mappings(parts.streams),
    )
    for collection in collections:
        _add(routes, _Verbs(parts, collection, hub))
    _add(routes, _Verbs(parts, cast("Collection", StreamImports(parts.importer, hosts)), hub))
    return routes


def _add(routes: Blueprint, verbs: _Verbs) -> None:
    resource = verbs.collection.resource
    collection, one = (resource.path(one=single, variable="<%s>") for single in (False, True))
    table: list[tuple[str, str, str, Callable[..., Response]]] = [
        (collection, "GET", "list", verbs.list_page),
        (collection, "DELETE", "deletecollection", verbs.delete_many),
        (collection, "POST", "create", verbs.create),
        (one, "GET", "get", verbs.get),
        (one, "DELETE", "delete", verbs.delete),
        (one, "PUT", "update", verbs.update),
        (one, "PATCH", "patch", verbs.patch),
    ]
    if resource.namespaced:
        table.append((resource.path(one=False, everywhere=True), "GET", "list", verbs.list_page))
    for rule, method, verb, view in table:
        if verb in resource.verbs:
            routes.add_url_rule(
                rule,
                endpoint=f"{resource.name}-{verb}-{rule.count('/')}",
                view_func=view,
                methods=[method],
                strict_slashes=False,
                provide_automatic_options=False,
            )


class _Verbs:
    """The verbs on one collection."""

    def __init__(self, parts: Parts, collection: Collection, hub: Hub) -> None:
        self._parts = parts
        self._hub = hub
        self.collection = collection

    def get(self, name: str, namespace: str = "") -> Response:
        self._permit("get", namespace, name)
        form = negotiate(request.headers.get("Accept"))
        include = tables.included(request.args.get("includeObject"))
        version = parameters.resource_version(request.args)
        if version:
            listing.check_version(version, self._parts.streams.revision())
        return self._one(self.collection.get(namespace, name), form, include)

    def create(self, namespace: str = "") -> Response:
        self._permit("create", namespace, "")
        form, include = self._form()
        call = self._call("CreateOptions", namespace)
        made = writing.create(self._kind, namespace, request.get_data(cache=False), _content_type(), call)
        return self._one(made, form, include, 201, call.warnings)

    def update(self, name: str, namespace: str = "") -> Response:
        self._permit("update", namespace, name)
        form, include = self._form()
        call = self._call("UpdateOptions", namespace)
        body = request.get_data(cache=False)
        made, new = writing.update(self._kind, namespace, name, body, _content_type(), call)
        return self._one(made, form, include, 201 if new else 200, call.warnings)

    def patch(self, name: str, namespace: str = "") -> Response:
        self._permit("patch", namespace, name)
        form, include = self._form()
        given = bodies.media_type(_content_type())
        served = openapi.patches(self.collection.resource)
        if given not in served:
            raise status.UnsupportedPatch(
                "the body of the request was in an unknown format - accepted media types include: " + ", ".join(served)
            )
        call = self._call("PatchOptions", namespace, given)
        made, new = writing.patch(
            self._kind,
            namespace,
            name,
            request.get_data(cache=False),
            given,
            call,
            lambda: self._permit("create", namespace, name),
        )
        return self._one(made, form, include, 201 if new else 200, call.warnings)

    def list_page(self, namespace: str = "") -> Response:
        selected = parameters.single_name(request.args)
        if parameters.flag(request.args, "watch"):
            self._permit("watch", namespace, selected)
            return self._watched(namespace)
        self._permit("list", namespace, selected)
        form = negotiate(request.headers.get("Accept"), is_list=True)
        include = tables.included(request.args.get("includeObject"))
        options = parameters.list_options(request.args, self.collection.fields)
        detail = needed(form, include)
        if options.limit is None and detail is Detail.WHOLE and form == Representation() and not answers.indented():
            begun = whole_lists.first(self.collection, namespace, options)
            if not begun.token:
                return self._listed(begun, form, include)
            return answers.in_pieces(whole_lists.lines(self.collection, namespace, options, begun))
        return self._listed(listing.collect(self.collection, namespace, options, detail=detail), form, include)

    def _watched(self, namespace: str) -> Response:
        if "watch" not in self.collection.resource.verbs:
            raise status.not_allowed((), self.collection.resource.name, NO_WATCH)
        options = watching.watch_options(request.args, self.collection.fields)
        form, media_type = negotiate_watch(request.headers.get("Accept"))
        include = tables.included(request.args.get("includeObject"))
        lines = watching.Lines(self.collection, form, include)
        over = request.environ.get(OVER, lambda: False)
        collection = cast("Watchable", self.collection)
        watch = watching.Watch(collection, namespace, options, lines, self._parts.streams.changes, self._hub, over)
        response = Response(watch, content_type=media_type)
        response.headers["Cache-Control"] = answers.PRIVATE
        return response

    def delete(self, name: str, namespace: str = "") -> Response:
        self._permit("delete", namespace, name)
        form = negotiate(request.headers.get("Accept"))
        options = _delete_options()
        deleted, left = deletion.delete_one(self.collection, namespace, name, options)
        if left is not None:
            return self._one(left, form, "Metadata", 200, options.warnings)
        answer = status.success(
            resource=self.collection.resource.name, name=name, uid=deleted["metadata"].get("uid", "")
        )
        return _encoded(answer, form, options.warnings)

    def delete_many(self, namespace: str = "") -> Response:
        self._permit("deletecollection", namespace, parameters.single_name(request.args))
        form = negotiate(request.headers.get("Accept"), is_list=True)
        include = tables.included(request.args.get("includeObject"))
        selection = parameters.list_options(request.args, self.collection.fields)
        options = _delete_options()
        if namespace:  # it may be ending: what is made from now on is made by those who hear of that
            self._parts.streams.await_creations(namespace)
        deleted = deletion.delete_many(self.collection, namespace, selection, options)
        return self._listed(deleted, form, include, options.warnings)

    @property
    def _kind(self) -> Kind:
        return cast("Kind", self.collection)

    def _form(self) -> tuple[Representation, str]:
        return negotiate(request.headers.get("Accept")), tables.included(request.args.get("includeObject"))

    def _call(self, options: str, namespace: str, patch: str = "") -> Call:
        identity = identify(request.environ, self._parts)
        agent = request.headers.get("User-Agent", "")
        dry_runs = request.args.getlist("dryRun")

        def admit(name: str) -> None:
            admission.admit(self._parts.namespace_phase, self.collection.resource, namespace, name)

        def admit_again(name: str) -> None:
            self._parts.forget_namespace(namespace)
            admit(name)

        return Call(
            identity,
            write_options.read_options(request.args, dry_runs, agent, kind=options, patch=patch),
            lambda access: gate.allows(self._parts, identity, access),
            admit,
            admit_again,
        )

    def _one(
        self, found: Document, form: Representation, include: str, code: int = 200, warnings: Sequence[str] = ()
    ) -> Response:
        if found["kind"] == "Status":  # a command that has no object
            return _encoded(found, form, warnings, code)
        if "items" in found and form.shape is not Shape.WHOLE:  # a list that is served as one object
            return self._listed(Listing(tuple(found["items"]), self._parts.streams.revision()), form, include)
        if form.shape is Shape.TABLE:
            metadata = {"resourceVersion": found["metadata"].get("resourceVersion", "")}
            return _encoded(self._table([found], metadata, form, include), form, warnings, code)
        if form.shape is Shape.METADATA:
            return _encoded(documents.metadata_only(found, form.meta_version), form, warnings, code)
        return _encoded(found, form, warnings, code)

    def _permit(self, verb: str, namespace: str, name: str) -> None:
        identity = identify(request.environ, self._parts)
        left = trail.of(request.environ)
        left.caller, left.uid = identity.username, identity.uid
        resource = self.collection.resource
        left.repository, left.reference = f"{namespace}/{resource.name}".lstrip("/"), name
        require(self._parts, identity, Access(verb, resource.plural, resource.subresource, namespace, name))
        left.allow()

    def _listed(self, found: Listing, form: Representation, include: str, warnings: tuple[str, ...] = ()) -> Response:
        if form.shape is Shape.TABLE:
            return _encoded(self._table(found.items, found.metadata, form, include), form, warnings)
        if form.shape is Shape.METADATA:
            return _encoded(documents.metadata_list(found.items, found.metadata, form.meta_version), form, warnings)
        return _encoded(documents.list_of(self.collection.resource, found.items, found.metadata), form, warnings)

    def _table(
        self,
        items: tuple[Document, ...] | list[Document],
        metadata: Mapping[str, str],
        form: Representation,
        include: str,
    ) -> Document:
        return tables.table(
            self.collection.resource,
            items,
            metadata,
            version=form.meta_version,
            include=include,
            now=datetime.now(UTC),
        )


def _encoded(document: Document, form: Representation, warnings: Sequence[str] = (), code: int = 200) -> Response:
    return answers.answer(document, form.encoding, code=code, pretty=form.pretty, warnings=warnings)


def _content_type() -> str:
    return request.headers.get("Content-Type", "")


def _delete_options() -> deletion.DeleteOptions:
    return deletion.read_options(
        request.get_data(cache=False),
        request.headers.get("Content-Type", ""),
        request.args,
        request.args.getlist("dryRun"),
    )
