"""What is wanted of a tag, as the options of several commands say it: a source and policies (``TagReference``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from image_registry.cli.failures import Wrong
from image_registry.cli.image_api import Named
from image_registry.cli.switches import switch
from image_registry.remote.reference import RemoteReference

F = TypeVar("F", bound=Callable[..., Any])

DOCKER, STREAM_TAG, STREAM_IMAGE = "DockerImage", "ImageStreamTag", "ImageStreamImage"

SOURCES = {
    "docker": DOCKER,
    "dockerimage": DOCKER,
    "istag": STREAM_TAG,
    "imagestreamtag": STREAM_TAG,
    "isimage": STREAM_IMAGE,
    "imagestreamimage": STREAM_IMAGE,
}
"""Values of ``--source``."""

_HOST = re.compile(r"localhost|.*[.:].*", re.ASCII)
MODES = ("Legacy", "PreserveOriginal")


def import_options(command: F) -> F:
    """``--scheduled --insecure --import-mode --reference-policy``."""
    for decorate in (
        click.option(
            "--reference-policy", type=click.Choice(("source", "local"), case_sensitive=False), default=None,
            help="`local`: who uses the tag pulls from this registry, which fetches what it lacks.",
        ),
        click.option(
            "--import-mode", type=click.Choice(MODES, case_sensitive=False), default=None,
            help="Of an image for several platforms: one of them (Legacy), or all.",
        ),
        switch("--insecure", default=False, help_="The other registry may have no trusted TLS."),
        switch("--scheduled", default=False, help_="Look again from time to time whether the image changed."),
    ):  # fmt: skip
        command = decorate(command)
    return command


def policies(options: Mapping[str, Any]) -> dict[str, Any]:
    """Members of a ``TagReference`` that the options say."""
    importing = {
        **({"insecure": True} if options.get("insecure") else {}),
        **({"scheduled": True} if options.get("scheduled") else {}),
        **({"importMode": options["import_mode"]} if options.get("import_mode") else {}),
    }
    policy = options.get("reference_policy")
    return {
        **({"importPolicy": importing} if importing else {}),
        **({"referencePolicy": {"type": policy.capitalize()}} if policy else {}),
    }


def kind_of(text: str, said: str | None) -> str:
    """What a source is: as ``--source`` says, else by its form. Raises :class:`Wrong`."""
    if said is not None:
        kind = SOURCES.get(said.lower())
        if kind is None:
            raise Wrong(f"--source={said}: one of {', '.join(SOURCES)}")
        return kind
    first, slash, _ = text.partition("/")
    if text.count("/") > 1 or (slash and _HOST.fullmatch(first)):
        return DOCKER
    return STREAM_IMAGE if "@" in text else STREAM_TAG


def source(text: str, kind: str, namespace: str) -> dict[str, str]:
    """The ``from`` of a tag in ``namespace``. Raises :class:`Wrong`, and InvalidReference."""
    if kind == DOCKER:
        RemoteReference.parse(text)
        return {"kind": DOCKER, "name": text}
    named = Named.parse(text, namespace).tagged()
    if kind == STREAM_IMAGE and not named.digest:
        raise Wrong(f"{text!r} names no image: write [<namespace>/]<stream>@<digest>")
    if kind == STREAM_TAG and named.digest:
        raise Wrong(f"{text!r} names an image and no tag: write [<namespace>/]<stream>:<tag>")
    return {"kind": kind, "namespace": named.namespace, "name": named.short}
