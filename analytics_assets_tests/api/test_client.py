"""What lies between here and the API: proxies, certificates, cookies, and how retries wait."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from analytics_assets.api.client import make_client, shared_client
from analytics_assets.settings import ApiSettings

BODY = b'{"results": [], "metadata": {}}'


class Handler(BaseHTTPRequestHandler):
    """Answers with an empty list, after as many failures as it is told, and asks for a cookie."""

    protocol_version = "HTTP/1.1"
    failures = 0

    def do_GET(self) -> None:
        failing = type(self).failures > 0
        type(self).failures -= failing
        self.send_response(503 if failing else 200)
        self.send_header("Set-Cookie", "session=1")
        self.send_header("X-Cookie", self.headers.get("Cookie", "none"))
        self.send_header("X-Authorization", self.headers.get("Authorization", "none"))
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Handler.failures = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@pytest.fixture
def authority(tmp_path: Path, server: ThreadingHTTPServer) -> Path:
    """The certificate that the server now has, signed by nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, key_file = tmp_path / "authority.pem", tmp_path / "key.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return file


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def settings(url: str, **values: Any) -> ApiSettings:
    required = {"base_url": url, "token_url": f"{url}/oauth/token", "client_id": "id"}
    return ApiSettings(
        **{**required, "client_secret": "secret", "workers": 4, "max_retries": 0, **values}
    )


def get(url: str, **values: Any) -> requests.Response:
    return make_client(settings(url, **values)).session.get(f"{url}/v1/list")


def test_an_unknown_authority_is_refused(server: ThreadingHTTPServer, authority: Path):
    with pytest.raises(requests.exceptions.SSLError):
        get(f"https://127.0.0.1:{server.server_port}")


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_private_authority(
    server: ThreadingHTTPServer, authority: Path, monkeypatch, variable: str
):
    url = f"https://127.0.0.1:{server.server_port}"
    monkeypatch.setenv(variable, str(authority))
    assert get(url).json() == {"results": [], "metadata": {}}
    # which the token is asked of, too
    assert make_client(settings(url)).auth.session.get(url).status_code == 200


def test_a_proxy_and_those_who_go_without_it(server: ThreadingHTTPServer, monkeypatch):
    proxy = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HTTP_PROXY", proxy)
    assert get("http://api.invalid").status_code == 200
    monkeypatch.setenv("NO_PROXY", "api.invalid")
    with pytest.raises(requests.ConnectionError):
        get("http://api.invalid", timeout=1.0)


def test_no_cookie_is_kept_and_no_netrc_is_read(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    url = f"http://127.0.0.1:{server.server_port}"
    session = make_client(settings(url)).session
    for _ in range(2):
        answer = session.get(f"{url}/v1/list")
        assert (answer.headers["X-Cookie"], answer.headers["X-Authorization"]) == ("none", "none")


def test_retries_do_not_come_back_together(server: ThreadingHTTPServer, monkeypatch):
    rests: list[float] = []
    ranges: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        ranges.append((least, most))
        return 0.125

    monkeypatch.setattr("analytics_assets.api.adapter.random.uniform", uniform)
    monkeypatch.setattr(
        "analytics_assets.api.adapter._rest", lambda seconds, _: rests.append(seconds)
    )
    Handler.failures = 2
    get(f"http://127.0.0.1:{server.server_port}", max_retries=2, backoff_factor=0.01)
    assert ranges == [(0, 0.005)] * 3
    assert rests == [0.0, pytest.approx(0.135), pytest.approx(0.145)]


def test_one_client_for_the_same_settings(server: ThreadingHTTPServer):
    url = f"http://127.0.0.1:{server.server_port}"
    assert shared_client(settings(url)) is shared_client(settings(url))
    assert shared_client(settings(url)) is not shared_client(settings(url, timeout=1.0))
