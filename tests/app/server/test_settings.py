from pathlib import Path

import pytest

from image_registry.server.settings import AuthMode, InvalidSettings, LogLevel, Settings

DATABASE = {"REGISTRY_DATABASE_URL": "sqlite:///x.db"}


def test_an_empty_environment_names_the_missing_database() -> None:
    with pytest.raises(InvalidSettings, match="REGISTRY_DATABASE_URL"):
        Settings.from_environment({})


def test_every_kind_of_value_is_read() -> None:
    settings = Settings.from_environment(
        {
            **DATABASE,
            "REGISTRY_HTTP_ADDR": "127.0.0.1:5443",
            "REGISTRY_HTTP_WORKERS": "3",
            "REGISTRY_AUTH": "htpasswd",
            "REGISTRY_AUTH_HTPASSWD_PATH": "/etc/users",
            "REGISTRY_EXTERNAL_HOSTNAMES": "a.example, b.example",
            "REGISTRY_READ_ONLY": "true",
            "REGISTRY_LOG_LEVEL": "Debug",
        }
    )
    assert settings.http_addr == "127.0.0.1:5443"
    assert settings.http_workers == 3
    assert settings.auth is AuthMode.HTPASSWD
    assert settings.auth_htpasswd_path == Path("/etc/users")
    assert settings.external_hostnames == ("a.example", "b.example")
    assert settings.read_only
    assert settings.log_level is LogLevel.DEBUG


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("REGISTRY_HTTP_ADDR", "5000", "HOST:PORT"),
        ("REGISTRY_HTTP_ADDR", ":99999", "HOST:PORT"),
        ("REGISTRY_HTTP_WORKERS", "many", "a whole number"),
        ("REGISTRY_HTTP_WORKERS", "0", "at least 1"),
        ("REGISTRY_HTTP_GRACEFUL_TIMEOUT", "0", "at least 1"),
        ("REGISTRY_HTTP_GRACEFUL_TIMEOUT", "soon", "a whole number"),
        ("REGISTRY_AUTH", "ldap", "cluster, htpasswd, none"),
        ("REGISTRY_AUTH", "htpasswd", "REGISTRY_AUTH_HTPASSWD_PATH"),
        ("REGISTRY_READ_ONLY", "maybe", "true, false"),
        ("REGISTRY_HTTP_HOT_READS", "maybe", "true, false"),
        ("REGISTRY_DATABASE_URL", "mysql://db/registry", "write postgresql://"),
        ("REGISTRY_LOG_LEVEL", "loud", "Normal, Debug"),
        ("REGISTRY_HTTP_TLS_KEY", "/k", "belong together"),
    ],
)
def test_a_wrong_value_is_refused_with_the_cure(variable: str, value: str, said: str) -> None:
    with pytest.raises(InvalidSettings, match=said):
        Settings.from_environment({**DATABASE, variable: value})


def test_the_database_url_is_built_from_parts_with_the_password_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p@ss/word\n", encoding="utf-8")
    settings = Settings.from_environment(
        {
            "REGISTRY_DATABASE_HOST": "db",
            "REGISTRY_DATABASE_PASSWORD_FILE": str(secret),
            "REGISTRY_DATABASE_SSLMODE": "verify-full",
            "REGISTRY_DATABASE_SSLROOTCERT": "/etc/ca.crt",
        }
    )
    assert settings.database_url == (
        "postgresql+psycopg://registry:p%40ss%2Fword@db:5432/registry?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.crt"
    )


def test_the_printed_settings_hold_no_password() -> None:
    settings = Settings(database_url="postgresql+psycopg://registry:hidden@db:5432/registry")
    assert "hidden" not in str(settings.redacted())
    assert settings.redacted()["database_url"] == "postgresql+psycopg://registry:***@db:5432/registry"


def test_a_missing_password_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="nowhere"):
        Settings.from_environment(
            {"REGISTRY_DATABASE_HOST": "db", "REGISTRY_DATABASE_PASSWORD_FILE": str(tmp_path / "nowhere")}
        )


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("0s", 0), ("10s", 10), ("1m30s", 90), ("250ms", 0.25), ("1h", 3600), ("1.5s", 1.5)]
)
def test_durations_are_written_as_kubernetes_writes_them(text: str, seconds: float) -> None:
    environment = {"REGISTRY_DATABASE_URL": "sqlite://", "REGISTRY_REQUESTS_READ_MAXWAITINQUEUE": text}
    assert Settings.from_environment(environment).requests_read_maxwaitinqueue == seconds


@pytest.mark.parametrize("text", ["s", "-1s", "ten", "1y"])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    environment = {"REGISTRY_DATABASE_URL": "sqlite://", "REGISTRY_REQUESTS_READ_MAXWAITINQUEUE": text}
    with pytest.raises(InvalidSettings, match=r"REGISTRY_REQUESTS_READ_MAXWAITINQUEUE is .* a duration such as 10s"):
        Settings.from_environment(environment)
