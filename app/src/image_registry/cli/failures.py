"""How a command ends: exit codes, and the one place where errors of the rooms below become a sentence and a code.

A command raises what it meets; the root of ``ac`` wraps all of them in :func:`told`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError, NoRegistry, RightsMissing
from image_registry.oci.digest import InvalidDigest
from image_registry.oci.reference import InvalidName, InvalidTag
from image_registry.remote import errors as remote

FAILED, WRONG, MISSING_RIGHTS, UNREACHABLE, NOT_THERE, INTERRUPTED = 1, 2, 3, 4, 5, 130

EXIT_CODES: tuple[tuple[int, str], ...] = (
    (0, "done; or, where nothing is confirmed, shown"),
    (FAILED, "something was refused or could not be done; what it was is said"),
    (WRONG, "wrong options or names; nothing was done"),
    (MISSING_RIGHTS, "rights or credentials are missing, each is named"),
    (UNREACHABLE, "the cluster, the Image API or a registry does not answer, or is not trusted"),
    (NOT_THERE, "what was named does not exist"),
    (INTERRUPTED, "interrupted"),
)
"""Of every command; that of a program which is run (kubectl) is its own."""

_UNPROCESSABLE = (400, 422)


class Failed(click.ClickException):
    """It was refused, or went wrong."""

    exit_code = FAILED


class Wrong(click.ClickException):
    """What was asked for cannot be meant; nothing was done."""

    exit_code = WRONG


class RightsError(click.ClickException):
    """What is missing, and what to do."""

    exit_code = MISSING_RIGHTS


class Unreachable(click.ClickException):
    """Nobody to talk to."""

    exit_code = UNREACHABLE


class NotThere(click.ClickException):
    """No such thing."""

    exit_code = NOT_THERE


@contextmanager
def told() -> Iterator[None]:
    """Errors of the rooms below, as those above."""
    try:
        yield
    except (KubeError, RightsMissing, NoRegistry, ClusterUnreachable, KubeconfigError, remote.RemoteError) as error:
        raise explained(error) from None
    except (InvalidDigest, InvalidName, InvalidTag) as error:
        raise Wrong(str(error)) from None


def explained(error: Exception) -> click.ClickException:
    """What a failure means to who typed the command."""
    text = str(error)
    match error:
        case RightsMissing():
            named = "\n".join(f"  {right}" for right in error.rights)
            return RightsError(f"these rights are missing; nothing was done:\n{named}")
        case KubeError():
            return _of_cluster(error)
        case remote.InvalidReference():
            return Wrong(text)
        case remote.Unauthorized() | remote.Forbidden():
            return RightsError(text)
        case remote.NotFound():
            return NotThere(text)
        case remote.Unreachable() | remote.Untrusted() | remote.TooManyRequests() | remote.NotARegistry():
            return Unreachable(text)
        case NoRegistry() | ClusterUnreachable() | KubeconfigError():
            return Unreachable(text)
    return Failed(text)


def _of_cluster(error: KubeError) -> click.ClickException:
    if error.forbidden or error.unauthorized:
        return RightsError(str(error))
    if error.not_found:
        return NotThere(str(error))
    if error.passing:
        return Unreachable(f"{error}; look at `kubectl get apiservice v1.image.alauda.io`, and try again")
    return Wrong(str(error)) if error.status in _UNPROCESSABLE else Failed(str(error))
