#!/bin/sh
# Makes or updates a virtual environment: tools/install.sh VENV LOCK
#
# VENV gets exactly what LOCK names, checked by hash, and this package as an editable install.
# Nothing to do: nothing done, in a few milliseconds. PYTHON chooses the interpreter. VENV/.installed
# is written last: a virtual environment without it was never finished and is made anew.
set -eu

cd "$(dirname "$0")/.."
venv=$1
lock=$2
stamp=$venv/.installed
home=$(pwd)
contents=$(cat "$lock" pyproject.toml "$0" | cksum)

# The caller's own environments and pip habits are not ours.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1

say() { echo "$venv: $*" >&2; }
fail() { say "$*" && exit 1; }

# 3.15 and later: Dagster does not admit them yet
suitable() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 15))' 2>/dev/null
}

base_of() { "$1" -c 'import sys; print(sys.version, sys.base_prefix)' 2>/dev/null; }

# Finished here once, not moved since, its interpreter still there and the one asked for.
usable() {
    [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$home" ] && suitable "$venv/bin/python" &&
        { [ -z "${PYTHON:-}" ] || [ "$(base_of "$PYTHON")" = "$(base_of "$venv/bin/python")" ]; }
}

# The virtual environment, and with it $installer, which says how to install into it. Debian ships
# `venv` without what puts pip there (package python3-venv): then any pip or uv at hand does it.
make_venv() {
    rm -rf "$venv"
    installer=venv
    "$1" -m venv "$venv" >/dev/null 2>&1 && return
    rm -rf "$venv"
    installer=virtualenv
    "$1" -m virtualenv -q "$venv" >/dev/null 2>&1 && return
    rm -rf "$venv"
    "$1" -m venv --without-pip "$venv" >/dev/null 2>&1 || return 1
    installer=pip
    "$1" -m pip --python "$venv/bin/python" --version >/dev/null 2>&1 && return
    installer=uv
    uv --version >/dev/null 2>&1 && return
    rm -rf "$venv"
    return 1
}

# Wheels only: a source archive would fetch its build tools, and these are not in the lock file.
install_lock() {
    set -- --no-deps --only-binary :all: --require-hashes -r "$lock"
    case $installer in
        pip) "$python" -m pip --python "$venv/bin/python" install -qq "$@" ;;
        uv) uv pip install -q "$@" --python "$venv/bin/python" ;;
        *) "$venv/bin/python" -m pip install -qq "$@" ;;
    esac
}

if usable; then
    [ "$(tail -n 1 "$stamp")" = "$contents" ] && exit 0
    installer=venv
    say "updating"
else
    [ ! -e "$venv" ] || say "not usable (unfinished, moved, or another Python): making it anew"
    rm -rf "$venv"
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3 python3.14 python3.13 python3.12 python3.11 python3.10
    fi
    python=
    found=
    for candidate; do
        suitable "$candidate" || continue
        found=$candidate
        make_venv "$candidate" && python=$candidate && break
    done
    [ -n "$found" ] ||
        fail "no Python 3.10 to 3.14 found${PYTHON:+ at $PYTHON}; install one or name it: make PYTHON=..."
    [ -n "$python" ] ||
        fail "$found cannot make a virtual environment; on Debian: apt-get install python3-venv"
    say "installing with $("$python" --version); the first time takes about a minute"
fi

rm -f "$stamp"
install_lock
"$venv/bin/python" -m pip install -qq --no-deps --no-build-isolation --no-index -e .

# Read at every start of this environment's Python: without it, `dagster` and `dg` called by hand
# would keep their state in a temporary folder unless the caller exported DAGSTER_HOME.
"$venv/bin/python" - <<'PY'
import os, pathlib, sysconfig

line = f"import os; os.environ.setdefault('DAGSTER_HOME', {os.getcwd()!a})\n"
pathlib.Path(sysconfig.get_path("purelib"), "analytics_assets_home.pth").write_text(line)
PY

printf '%s\n%s\n' "$home" unchecked >"$stamp"
"$venv/bin/python" -m pip check >"$venv/check.log" 2>&1 ||
    fail "$lock does not fit pyproject.toml; run make lock ($(tail -n 1 "$venv/check.log"))"
printf '%s\n%s\n' "$home" "$contents" >"$stamp"
