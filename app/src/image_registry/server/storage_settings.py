"""The choice of storage: ``REGISTRY_STORAGE`` and ``REGISTRY_STORAGE_<KIND>_*``, the names of CNCF distribution.

What is secret is never a variable: it is read from a folder with one file for each key, as Kubernetes mounts the Secret
``image-registry-private-configuration-user``. Anything unknown or contradictory is refused: a registry on the wrong
bucket would serve nothing, and take pushes where nobody looks for them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from image_registry import measures
from image_registry.server.proxy_settings import read_proxies
from image_registry.server.refusals import InvalidSettings
from image_registry.storage.choice import KINDS, S3, Azure, Filesystem, Storage, Swift

PREFIX = "REGISTRY_STORAGE"
CREDENTIALS = f"{PREFIX}_CREDENTIALS"
REDIRECT = f"{PREFIX}_REDIRECT_DISABLE"
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
MINIMUM_CHUNK, MAXIMUM_CHUNK = 5 << 20, 5120 << 20
_ELSEWHERE = frozenset({"redirect", "proxies"})
"""What all object stores share under other names."""
FORCE_PATH_STYLE = f"{PREFIX}_S3_FORCEPATHSTYLE"


def variables() -> dict[str, str]:
    """Every variable with its default as text; names of secrets are not among them."""
    found = {PREFIX: "filesystem", CREDENTIALS: "", REDIRECT: "false"}
    for kind, name, entry in _entries():
        if entry.repr:
            default = "" if entry.default in (MISSING, None) else str(entry.default)
            found[f"{PREFIX}_{kind}_{name}".upper()] = {"True": "true", "False": "false"}.get(default, default)
    return found


def secrets() -> list[str]:
    """Names of the files in the folder of credentials."""
    return [f"{PREFIX}_{kind}_{name}".upper() for kind, name, entry in _entries() if not entry.repr]


def read_storage(environment: Mapping[str, str], kind: str | None = None) -> Storage:
    """The storage that the environment describes, of the ``kind`` that is given or that it names.

    Raises :class:`InvalidSettings` with one sentence that names the variable and the cure, and never its value if that
    may be secret.
    """
    given = {name: text.strip() for name, text in environment.items() if name.startswith(f"{PREFIX}_") and text.strip()}
    kind = kind or environment.get(PREFIX, "").strip() or "filesystem"
    if kind not in KINDS:
        raise InvalidSettings(f"{PREFIX} is {kind!r}; use one of {', '.join(KINDS)}")
    _refuse_strangers(given, kind)
    values: dict[str, Any] = {}
    for of_kind, name, entry in _entries():
        variable = f"{PREFIX}_{kind}_{name}".upper()
        if of_kind == kind and entry.repr and variable in given:
            values[name] = _read(variable, given[variable], entry)
    if KINDS[kind] is not Filesystem:
        values |= _credentials(kind, given.get(CREDENTIALS, ""))
        values["proxies"] = read_proxies(environment)
        values["redirect"] = not _read_boolean(REDIRECT, given.get(REDIRECT, "false"))
    for _, name, entry in (found for found in _entries() if found[0] == kind):
        if entry.default is MISSING and name not in values:
            raise InvalidSettings(f"{PREFIX} is {kind}, which needs {PREFIX}_{kind.upper()}_{name.upper()}: set it")
    storage = KINDS[kind](**values)
    _refuse_contradictions(storage)
    return storage


def _entries() -> Iterator[tuple[str, str, Field[Any]]]:
    for kind, settings in KINDS.items():
        for entry in fields(settings):
            if entry.name not in _ELSEWHERE:
                yield kind, entry.name, entry


def _refuse_strangers(given: Mapping[str, str], kind: str) -> None:
    """Secrets in the environment, variables of other kinds, variables that nobody knows."""
    known, hidden = variables(), secrets()
    for name in sorted(given):
        if name in hidden:
            raise InvalidSettings(
                f"{name} is in the environment, where every process and every debugger reads it: put it into a file of "
                f"that name, and the file's folder into {CREDENTIALS}"
            )
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise InvalidSettings(f"{name} is unknown{f'; did you mean {near[0]}?' if near else ': unset it'}")
        of_kind = name.removeprefix(f"{PREFIX}_").partition("_")[0].lower()
        if of_kind in KINDS and of_kind != kind:
            raise InvalidSettings(
                f"{PREFIX} is {kind} but {name} is set: exactly one storage type can be configured; unset {name}, or "
                f"set {PREFIX} to {of_kind}"
            )


def _credentials(kind: str, folder: str) -> dict[str, str]:
    """What the files of the folder say; those of other kinds may lie there too, from before a change."""
    if not folder:
        return {}
    if not Path(folder).is_dir():
        raise InvalidSettings(f"{CREDENTIALS} is {folder}, which is no folder: mount the Secret with the keys there")
    found = {}
    for of_kind, name, entry in _entries():
        file = Path(folder, f"{PREFIX}_{kind}_{name}".upper())
        if of_kind == kind and not entry.repr and file.exists():
            try:
                found[name] = file.read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                raise InvalidSettings(f"cannot read {file}: {error}; it must be a readable text file") from None
    return found


def _refuse_contradictions(storage: Storage) -> None:
    """What a type can not say; each sentence names the variable and the cure."""
    if isinstance(storage, Filesystem):
        return
    if not MINIMUM_CHUNK <= storage.chunksize <= MAXIMUM_CHUNK:
        kind = next(name for name, settings in KINDS.items() if settings is type(storage)).upper()
        raise InvalidSettings(
            f"{PREFIX}_{kind}_CHUNKSIZE is {storage.chunksize}; use {MINIMUM_CHUNK} to {MAXIMUM_CHUNK} bytes"
        )
    match storage:
        case S3():
            _refuse_s3(storage)
        case Azure() if not storage.accountkey:
            raise InvalidSettings(f"Azure needs {PREFIX}_AZURE_ACCOUNTKEY: put the file into {CREDENTIALS}")
        case Swift():
            application = bool(storage.applicationcredentialid)
            if application != bool(storage.applicationcredentialsecret):
                raise InvalidSettings(
                    f"{PREFIX}_SWIFT_APPLICATIONCREDENTIALID and …SECRET belong together: put both into {CREDENTIALS}"
                )
            if not application and not (storage.username and storage.password):
                raise InvalidSettings(
                    f"Swift needs {PREFIX}_SWIFT_USERNAME and {PREFIX}_SWIFT_PASSWORD, or an application credential: "
                    f"put the files into {CREDENTIALS}"
                )
            if storage.authversion not in ("", "1", "3"):
                raise InvalidSettings(f"{PREFIX}_SWIFT_AUTHVERSION is {storage.authversion}; use 1 or 3")


def _refuse_s3(storage: S3) -> None:
    if bool(storage.accesskey) != bool(storage.secretkey):
        raise InvalidSettings(
            f"{PREFIX}_S3_ACCESSKEY and {PREFIX}_S3_SECRETKEY belong together: put both files into {CREDENTIALS}"
        )
    if storage.regionendpoint and not storage.regionendpoint.startswith(("https://", "http://")):
        raise InvalidSettings(
            f"{PREFIX}_S3_REGIONENDPOINT is {storage.regionendpoint!r}, without a scheme; write it as https://HOST[:PORT]"
        )
    if storage.keyid and not storage.encrypt:
        raise InvalidSettings(f"{PREFIX}_S3_KEYID is set but {PREFIX}_S3_ENCRYPT is not true: set it, or unset the key")
    if storage.skipverify and storage.trustedca:
        raise InvalidSettings(f"{PREFIX}_S3_SKIPVERIFY makes {PREFIX}_S3_TRUSTEDCA useless: unset one of them")
    _refuse_cloudfront(storage)


def _refuse_cloudfront(storage: S3) -> None:
    """A distribution that nobody can sign for would send every reader to a refusal."""
    name = f"{PREFIX}_S3_CLOUDFRONT"
    given = {
        f"{name}BASEURL": storage.cloudfrontbaseurl,
        f"{name}KEYPAIRID": storage.cloudfrontkeypairid,
        f"{name}PRIVATEKEY": storage.cloudfrontprivatekey,
    }
    if not any(given.values()):
        return
    if missing := [variable for variable, value in given.items() if not value]:
        raise InvalidSettings(f"CloudFront needs {' and '.join(missing)} too: set it, or unset the others")
    if not storage.cloudfrontbaseurl.startswith(("https://", "http://")):
        raise InvalidSettings(f"{name}BASEURL is {storage.cloudfrontbaseurl!r}; write it as https://HOST[/PATH]")
    try:
        lasting = measures.seconds(storage.cloudfrontduration)
    except ValueError:
        lasting = 0
    if lasting < 1:
        raise InvalidSettings(f"{name}DURATION is {storage.cloudfrontduration!r}; use a duration such as 20m or 1h")
    from image_registry.storage import cloudfront  # large, and needed by few

    try:
        cloudfront.load(Path(str(storage.cloudfrontprivatekey)))
    except cloudfront.InvalidKey as error:
        raise InvalidSettings(
            f"{name}PRIVATEKEY is {storage.cloudfrontprivatekey}, which {error}: put the private key of the pair there"
        ) from None


def _read(variable: str, text: str, entry: Field[Any]) -> Any:
    match entry.type:
        case "bool":
            return _read_boolean(variable, text)
        case "int":
            if not text.isdigit():
                raise InvalidSettings(f"{variable} is {text!r}; use a whole number")
            return int(text)
        case "Path" | "Path | None":
            return Path(text)
        case _:
            return text


def _read_boolean(variable: str, text: str) -> bool:
    if text.lower() not in BOOLEANS:
        raise InvalidSettings(f"{variable} is {text!r}; use true, false")
    return BOOLEANS[text.lower()]
