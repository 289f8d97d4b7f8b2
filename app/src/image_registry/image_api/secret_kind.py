"""``imagestreams/secrets``: the credentials for other registries that imports of a namespace use.

Secrets of the two pull types and of no other, read with the identity of this server: whoever may ``get`` this may read
them, and needs no right on Secrets for it. The name of the stream says nothing (parity reference 1.9).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from image_registry.image_api import status
from image_registry.image_api.documents import Document
from image_registry.image_api.projections import ReadOnly
from image_registry.image_api.resources import GROUP_VERSION, STREAM_SECRETS
from image_registry.imagestreams.service import ImageStreams
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.kube.pull_secrets import Secret

RETRY = 5
"""Seconds after which the cluster may be asked again."""


class StreamSecrets(ReadOnly):
    """Serves ``get`` alone; ``read`` gives the pull Secrets of a namespace, ``None`` cannot."""

    resource = STREAM_SECRETS

    def __init__(self, streams: ImageStreams, read: Callable[[str], Sequence[Secret]] | None) -> None:
        super().__init__(streams)
        self._read = read

    def get(self, namespace: str, name: str) -> Document:
        """All of the namespace."""
        if self._read is None:
            raise status.ServiceUnavailable("this API server was started without the means to read Secrets")
        try:
            found = self._read(namespace)
        except KubeError as error:
            if error.forbidden:
                raise status.Forbidden(
                    f"the Image API may not read Secrets in namespace {namespace}: there, bind the ClusterRole "
                    "<namespace of the registry>:pull-secret-reader to the ServiceAccount image-api-server of that one",
                    resource=self.resource.plural,
                    name=name,
                ) from None
            raise _later(namespace) from error
        except (ClusterUnreachable, KubeconfigError) as error:
            raise _later(namespace) from error
        items = [
            {
                "kind": "Secret",
                "apiVersion": "v1",
                **secret,
                "metadata": {key: value for key, value in secret["metadata"].items() if key != "managedFields"},
            }
            for secret in found
        ]
        return {"kind": self.resource.kind, "apiVersion": GROUP_VERSION, "metadata": {}, "items": items}


def _later(namespace: str) -> status.ServiceUnavailable:
    return status.ServiceUnavailable(
        f"the Secrets of namespace {namespace} cannot be read right now; try again in {RETRY} seconds",
        retry_after=RETRY,
    )
