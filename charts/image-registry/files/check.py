"""What `helm test` asks of a running registry; standard library only, since the image has no other client."""
# ruff: noqa: S310, T201 - the addresses are the chart's own, and the output is the log of the test Pod

import base64
import json
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def ask(url, ca, authorization=None):
    """Status, headers and body of a GET; refusals are answers as well."""
    request = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})
    try:
        reply = urllib.request.urlopen(request, timeout=20, context=ssl.create_default_context(cafile=str(ca)))
    except urllib.error.HTTPError as refusal:
        reply = refusal
    with reply:
        return reply.status, reply.headers, reply.read()


def expect(what, status, wanted, body):
    if status != wanted:
        sys.exit(f"FAILED: {what}: status {status} instead of {wanted}: {body[:300].decode(errors='replace')}")
    print(f"ok: {what}: {status}")


def main(registry, namespace):
    ca, token = Path("/ca/ca-bundle.crt"), (ACCOUNT / "token").read_text().strip()
    url = f"https://{registry}/v2/"

    status, headers, body = ask(url, ca)
    expect("without a token the registry asks who is calling", status, 401, body)
    challenge = dict(re.findall(r'(\w+)="([^"]*)"', headers.get("WWW-Authenticate", "")))
    if "realm" not in challenge:
        sys.exit("FAILED: the 401 names no token realm")

    basic, forged = (
        "Basic " + base64.b64encode(f"serviceaccount:{text}".encode()).decode()
        for text in (token, token[:-8] + "AAAAAAAA")
    )
    query = urllib.parse.urlencode({"service": challenge.get("service", "")})
    status, _, body = ask(f"{challenge['realm']}?{query}", ca, basic)
    expect("the ServiceAccount logs in with its token", status, 200, body)
    answer = json.loads(body)
    status, _, body = ask(url, ca, "Bearer " + (answer.get("token") or answer["access_token"]))
    expect("the registry takes the token it gave", status, 200, body)
    status, _, body = ask(f"{challenge['realm']}?{query}", ca, forged)
    expect("a forged token is refused", status, 401, body)

    api, cluster_ca = "https://kubernetes.default.svc/apis/image.alauda.io/v1", ACCOUNT / "ca.crt"
    status, _, body = ask(api, cluster_ca, f"Bearer {token}")
    expect("the Image API is part of the Kubernetes API", status, 200, body)
    status, _, body = ask(f"{api}/namespaces/{namespace}/imagestreams", cluster_ca, f"Bearer {token}")
    expect(f"image streams of {namespace} are listed", status, 200, body)
    status, _, body = ask(f"{api}/namespaces/kube-system/imagestreams", cluster_ca, f"Bearer {token}")
    expect("another namespace's image streams are not", status, 403, body)


if __name__ == "__main__":
    main(*sys.argv[1:])
