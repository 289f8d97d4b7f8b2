"""Settings of the serving processes: read once from the environment, checked at start, printed without secrets.

In a cluster the chart writes these variables; ``image-registry serve`` fills the same class from its options. Nothing
else in the house reads the environment. Every variable is documented in ``docs/reference/settings.md`` (tested).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from image_registry import measures
from image_registry.imagestreams.local_names import LocalNames
from image_registry.proxies import Proxies
from image_registry.server.log_lines import AccessLog, Audit
from image_registry.server.proxy_settings import read_proxies
from image_registry.server.refusals import InvalidSettings as InvalidSettings
from image_registry.server.storage_settings import read_storage
from image_registry.storage.blob_store import RENEWED
from image_registry.storage.choice import Filesystem, Storage

PREFIX = "REGISTRY_"


_NUMBERS = ("http_workers", "http_threads", "http_graceful_timeout", "http_max_", "max_", "requests_")
_DURATIONS = ("_maxwaitinqueue", "_promise")
_REQUESTS = ("maxrunning", "maxinqueue", "maxwaitinqueue")
_DATABASE = re.compile(r"sqlite://(?:/.*)?|postgresql(?:\+psycopg)?://\S+", re.ASCII)


class AuthMode(StrEnum):
    """Who decides about callers (design, D5)."""

    CLUSTER = "cluster"
    HTPASSWD = "htpasswd"
    NONE = "none"


class LogLevel(StrEnum):
    """The operator's names for verbosity (parity reference 3.1)."""

    NORMAL = "Normal"
    DEBUG = "Debug"
    TRACE = "Trace"
    TRACE_ALL = "TraceAll"


_CHOICES: dict[str, type[StrEnum]] = {
    "auth": AuthMode,
    "log_level": LogLevel,
    "access_log": AccessLog,
    "audit": Audit,
    "local_names": LocalNames,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a process needs to know before it starts."""

    http_addr: str = "0.0.0.0:5000"
    http_tls_certificate: Path | None = None
    http_tls_key: Path | None = None
    http_workers: int = 2
    http_threads: int = 256
    http_graceful_timeout: int = 25
    http_hot_reads: bool = True
    storage: Storage = field(default_factory=Filesystem)
    database_url: str = ""
    auth: AuthMode = AuthMode.CLUSTER
    auth_htpasswd_path: Path | None = None
    auth_token_keys: Path | None = None
    auth_audience: str = "image-registry"
    internal_hostname: str = "image-registry.image-registry-system.svc:5000"
    external_hostnames: tuple[str, ...] = ()
    http_max_headers: int = 500
    http_max_header_bytes: int = 16380
    max_manifest_bytes: int = 4194304
    requests_read_maxrunning: int = 0
    requests_read_maxinqueue: int = 0
    requests_read_maxwaitinqueue: float = 0
    requests_write_maxrunning: int = 0
    requests_write_maxinqueue: int = 0
    requests_write_maxwaitinqueue: float = 0
    read_only: bool = False
    read_only_file: Path | None = None
    sparse_images: bool = False
    blob_promise: float = RENEWED
    imports: str = ""
    proxy: Proxies = field(default_factory=Proxies)
    local_names: LocalNames = LocalNames.OFF
    log_level: LogLevel = LogLevel.NORMAL
    access_log: AccessLog = AccessLog.ALL
    audit: Audit = Audit.WRITES

    def __post_init__(self) -> None:
        host, _, port = self.http_addr.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise InvalidSettings(f"{PREFIX}HTTP_ADDR is {self.http_addr!r}; write it as HOST:PORT")
        if (self.http_tls_certificate is None) != (self.http_tls_key is None):
            raise InvalidSettings(f"{PREFIX}HTTP_TLS_CERTIFICATE and {PREFIX}HTTP_TLS_KEY belong together: set both")
        if self.http_workers < 1 or self.http_threads < 1:
            raise InvalidSettings(f"{PREFIX}HTTP_WORKERS and {PREFIX}HTTP_THREADS must be at least 1")
        if self.http_graceful_timeout < 1:
            raise InvalidSettings(f"{PREFIX}HTTP_GRACEFUL_TIMEOUT must be at least 1 second")
        if min(self.http_max_headers, self.http_max_header_bytes, self.max_manifest_bytes) < 1:
            raise InvalidSettings(
                f"{PREFIX}HTTP_MAX_HEADERS, {PREFIX}HTTP_MAX_HEADER_BYTES and {PREFIX}MAX_MANIFEST_BYTES must be "
                "at least 1"
            )
        if self.blob_promise < 0:
            raise InvalidSettings(f"{PREFIX}BLOB_PROMISE must not be negative")
        for kind in ("read", "write"):
            if min(getattr(self, f"requests_{kind}_{name}") for name in _REQUESTS) < 0:
                raise InvalidSettings(f"{PREFIX}REQUESTS_{kind.upper()}_… must not be negative; 0 is no limit")
        if self.auth is AuthMode.HTPASSWD and self.auth_htpasswd_path is None:
            raise InvalidSettings(f"{PREFIX}AUTH=htpasswd needs {PREFIX}AUTH_HTPASSWD_PATH, the file with the users")
        _require_database(self.database_url)

    @property
    def tls(self) -> bool:
        """True when the process serves TLS itself."""
        return self.http_tls_certificate is not None

    def redacted(self) -> dict[str, str]:
        """The settings as text for the log, the database password blanked."""
        shown = {entry.name: str(getattr(self, entry.name)) for entry in fields(self)}
        url = urlsplit(self.database_url)
        if url.password:
            shown["database_url"] = url._replace(netloc=f"{url.username}:***@{url.hostname}:{url.port}").geturl()
        return shown

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> Settings:
        """Read ``REGISTRY_*``; raises :class:`InvalidSettings` naming the variable that is wrong."""
        values: dict[str, Any] = {}
        for entry in fields(Settings):
            text = environment.get(PREFIX + entry.name.upper(), "").strip()
            if text and entry.name not in ("storage", "proxy"):
                values[entry.name] = _read(entry.name, text)
        values["storage"] = read_storage(environment)
        values["proxy"] = read_proxies(environment)
        if "database_url" not in values:
            values["database_url"] = database_url(environment)
        return Settings(**values)


def _require_database(url: str) -> None:
    """Raise unless ``url`` is an address that can be asked. It may hold a password, so it is not shown."""
    if not url:
        raise InvalidSettings(
            f"no database: set {PREFIX}DATABASE_URL, or {PREFIX}DATABASE_HOST with {PREFIX}DATABASE_PASSWORD_FILE"
        )
    try:
        known = _DATABASE.fullmatch(url) is not None and (urlsplit(url).port or 1) > 0
    except ValueError:  # a port that is none
        known = False
    if not known:
        raise InvalidSettings(
            f"{PREFIX}DATABASE_URL (--database) is no address of a database that is supported; write "
            "postgresql://<user>:<password>@<host>:<port>/<name> or sqlite:///<file>"
        )


def database_url(environment: Mapping[str, str]) -> str:
    """The URL from its parts, the password from a file so that it is in no environment; empty without a host."""
    host = environment.get(f"{PREFIX}DATABASE_HOST", "")
    if not host:
        return ""
    port = environment.get(f"{PREFIX}DATABASE_PORT", "5432")
    name = environment.get(f"{PREFIX}DATABASE_NAME", "registry")
    user = environment.get(f"{PREFIX}DATABASE_USER", "registry")
    options = {
        "sslmode": environment.get(f"{PREFIX}DATABASE_SSLMODE", ""),
        "sslrootcert": environment.get(f"{PREFIX}DATABASE_SSLROOTCERT", ""),
    }
    password_file = environment.get(f"{PREFIX}DATABASE_PASSWORD_FILE", "")
    if not password_file:
        raise InvalidSettings(f"{PREFIX}DATABASE_HOST is set but {PREFIX}DATABASE_PASSWORD_FILE is not")
    try:
        password = Path(password_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSettings(f"cannot read {PREFIX}DATABASE_PASSWORD_FILE {password_file}: {error.strerror}") from None
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in options.items() if value)
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"postgresql+psycopg://{credentials}@{host}:{port}/{name}" + (f"?{query}" if query else "")


def _read(name: str, text: str) -> Any:
    variable = PREFIX + name.upper()
    try:
        match name:
            case _ if name.endswith(_DURATIONS):
                return measures.seconds(text)
            case _ if name.startswith(_NUMBERS):
                return int(text)
            case "read_only" | "sparse_images" | "http_hot_reads":
                return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
            case _ if name in _CHOICES:
                return _CHOICES[name](text)
            case "external_hostnames":
                return tuple(part.strip() for part in text.split(",") if part.strip())
            case _ if name.endswith(("_path", "_certificate", "_key", "_keys", "_rootdirectory", "_file")):
                return Path(text)
            case _:
                return text
    except (ValueError, KeyError):
        allowed = {
            **{name: ", ".join(kind) for name, kind in _CHOICES.items()},
            "read_only": "true, false",
            "sparse_images": "true, false",
            "http_hot_reads": "true, false",
        }.get(name, "a duration such as 10s or 1m30s" if name.endswith(_DURATIONS) else "a whole number")
        raise InvalidSettings(f"{variable} is {text!r}; use {allowed}") from None
