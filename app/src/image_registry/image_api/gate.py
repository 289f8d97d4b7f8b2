"""May the caller do this? Asked for every request of an object, before anything is looked up.

The refusal is worded as the kube-apiserver words its own, because people and tools read it as such. It is the same
whether or not the object exists.
"""

from __future__ import annotations

from image_registry.auth.access import Access, AuthorizationUnavailable
from image_registry.auth.identity import Identity
from image_registry.image_api.parts import Parts
from image_registry.image_api.status import Forbidden, ServiceUnavailable


def require(parts: Parts, identity: Identity, access: Access) -> None:
    """Raises :class:`Forbidden`, or :class:`ServiceUnavailable` while nobody can decide."""
    if not allows(parts, identity, access):
        raise Forbidden(refusal(identity, access), resource=access.resource, name=access.name)


def allows(parts: Parts, identity: Identity, access: Access) -> bool:
    """Raises :class:`ServiceUnavailable`."""
    try:
        return parts.authorizer.decide(identity, access).allowed
    except AuthorizationUnavailable as error:
        raise ServiceUnavailable(f"nobody can decide about access right now: {error}", retry_after=5) from error


def refusal(identity: Identity, access: Access) -> str:
    """``imagestreams.image.alauda.io "x" is forbidden: User "u" cannot get resource …``"""
    resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
    name = f' "{access.name}"' if access.name else ""
    where = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    return (
        f'{access.resource}.{access.group}{name} is forbidden: User "{identity.username}" cannot {access.verb} '
        f'resource "{resource}" in API group "{access.group}" {where}'
    )
