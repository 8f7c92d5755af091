"""Environments of their own for what the platform does not need itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def python_of(name: str) -> str:
    """The Python of the environment `requirements/<name>.txt`, made if it is not there yet."""
    requirements = _HERE / "requirements" / f"{name}.txt"
    folder = _HERE / ".environments" / name
    python = folder / "bin" / "python"
    made_from = folder / "requirements.txt"
    if not made_from.is_file() or made_from.read_bytes() != requirements.read_bytes():
        print(f"making an environment for {name}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        quiet = ("-qqq", "--disable-pip-version-check")
        install = (str(python), "-m", "pip", "install", *quiet, "-r", str(requirements))
        subprocess.run(install, check=True)
        made_from.write_bytes(requirements.read_bytes())
    return str(python)


def pinned_version(name: str, package: str) -> str:
    """The version of a package in `requirements/<name>.txt`."""
    lines = (_HERE / "requirements" / f"{name}.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{package}==")).split("==")[1]
