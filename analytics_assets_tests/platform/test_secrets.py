"""No secret in anything that a run prints or writes, also when everything fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_assets.sample_api import Fault, SampleApi

SECRET = "k3y-that-must-stay-in-memory"

FAULTS = {
    "one account fails": [Fault("status", "*/items/", value="403")],
    "the list fails": [Fault("status", "*/allowed-accounts", value="500")],
    "tokens are revoked": [Fault("revoke_tokens", "*/campaigns/")],
    "connections break": [Fault("reset_in_body", "*/audiences")],
    "the token URL fails": [Fault("status", "/oauth/token", value="500")],
    "the token page is no token": [Fault("html_200", "/oauth/token")],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_no_secret_leaves_the_process(
    home: Path, commands, api: SampleApi, tmp_path: Path, faults: list[Fault]
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    api.behaviour.client_secret = SECRET
    api.behaviour.faults.extend(faults)
    commands.environment = {
        "SOURCES__ANALYTICS__CLIENT_SECRET": SECRET,
        "RUNTIME__LOG_LEVEL": "DEBUG",
        "TMPDIR": str(temporary),
    }
    result = commands.analytics_assets("sync")
    assert result.returncode == 1

    headers = [str(entry.headers.get("Authorization", "")) for entry in api.log.entries]
    tokens = {header.removeprefix("Bearer ") for header in headers if header}
    secrets = [secret.encode() for secret in (SECRET, *tokens)]
    written = [path for path in (*home.rglob("*"), *temporary.rglob("*")) if path.is_file()]
    assert any(path.suffix == ".db" for path in written)  # Dagster's records are among them
    contents = {str(path): path.read_bytes() for path in written}
    contents["output"] = (result.stdout + result.stderr).encode()
    for name, content in contents.items():
        for secret in secrets:
            assert secret not in content, name
