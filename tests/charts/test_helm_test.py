"""The program behind ``helm test``, against a stand-in that answers like the registry and the Kubernetes API."""

from __future__ import annotations

import base64
import importlib.util
import json
from email.message import Message

import pytest

API = "https://kubernetes.default.svc/apis/image.alauda.io/v1"
CHALLENGE = 'Bearer realm="https://registry.example:5000/v2/token",service="registry"'
TOKEN = "header.payload.signature-of-twenty"


@pytest.fixture
def check(chart, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("chart_check", chart / "files" / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setattr(module, "ACCOUNT", tmp_path)
    return module


def answers(**faults):
    """A stand-in for ``ask``: the good answers, with some of them replaced by ``name=(status, body)``."""
    good = f"Basic {base64.b64encode(f'serviceaccount:{TOKEN}'.encode()).decode()}"

    def ask(url, _ca, authorization=None):
        headers = Message()
        if "/v2/token" in url:
            assert url.endswith("?service=registry")
            name, status = ("login", 200) if authorization == good else ("forged", 401)
            body = {"token": "short"} if status == 200 else {}
        elif url.startswith("https://registry.example:5000/v2/"):
            name, status = ("pull", 200) if authorization == "Bearer short" else ("anonymous", 401)
            headers["WWW-Authenticate"] = CHALLENGE
            body = {}
        else:
            assert authorization == f"Bearer {TOKEN}"
            name = {API: "api", f"{API}/namespaces/ours/imagestreams": "list"}.get(url, "foreign")
            status, body = (403 if name == "foreign" else 200), {}
        status, body = faults.get(name, (status, body))
        return status, headers, json.dumps(body).encode()

    return ask


def test_a_working_registry_passes(check, monkeypatch, capsys):
    monkeypatch.setattr(check, "ask", answers())
    check.main("registry.example:5000", "ours")
    said = capsys.readouterr().out
    assert said.count("ok: ") == 7
    assert TOKEN not in said


@pytest.mark.parametrize(
    ("fault", "status", "sentence"),
    [
        ("anonymous", 200, "without a token the registry asks who is calling: status 200 instead of 401"),
        ("login", 401, "the ServiceAccount logs in with its token"),
        ("pull", 500, "the registry takes the token it gave"),
        ("forged", 200, "a forged token is refused"),
        ("api", 503, "the Image API is part of the Kubernetes API"),
        ("list", 403, "image streams of ours are listed"),
        ("foreign", 200, "another namespace's image streams are not"),
    ],
)
def test_every_fault_fails_with_its_sentence(check, monkeypatch, fault, status, sentence):
    monkeypatch.setattr(check, "ask", answers(**{fault: (status, {"token": "short"})}))
    with pytest.raises(SystemExit, match=sentence):
        check.main("registry.example:5000", "ours")
