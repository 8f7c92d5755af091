#!/bin/sh
# Runs a command beside a Docker engine of its own: tools/engine/run.sh COMMAND...
#
# Needs root on Debian 12 or newer, and its packages buildah, docker.io, iptables and mmdebstrap. The
# engine has its own network, mounts and processes, and all of it ends with the command. No registry of
# images is asked: Debian 13's packages stand in for the images that deploy/ names. What was made of
# them stays in build/engine; the image of deploy/Dockerfile is built anew each time.
set -eu

cd "$(dirname "$0")/../.."
work=$(pwd)/build/engine

debian() { nice mmdebstrap --quiet "$@"; } # from the mirror that mmdebstrap has by default
images() { nice buildah --root "$work/buildah" --runroot "$work/run" --storage-driver vfs "$@"; }

make_parts() {
    mkdir -p "$work"
    [ -f "$work/python.tar" ] || {
        debian --variant=minbase --include=ca-certificates,python3,python3-venv trixie "$work/part.tar"
        mv "$work/part.tar" "$work/python.tar"
    }
    [ "$work/services.tar" -nt tools/engine/postgres.sh ] || {
        debian --variant=minbase --include=postgresql-17,valkey-server,valkey-tools \
            --customize-hook="copy-in tools/engine/postgres.sh /usr/local/bin" trixie "$work/part.tar"
        mv "$work/part.tar" "$work/services.tar"
    }
    [ -x "$work/compose/usr/bin/docker-compose" ] || {
        rm -rf "$work/compose"
        debian --variant=extract --include=docker-compose trixie "$work/compose"
    }
}

# python:3.13-slim has its Python in /usr/local, too. This machine's certificates and settings of pip
# lead to the packages.
build_image() {
    rm -rf "$work/buildah" "$work/run" "$work/image.tar"
    base=$(images from scratch)
    images add -q "$base" "$work/python.tar" / >/dev/null
    for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
        [ ! -f "$file" ] || images copy -q "$base" "$file" "$file" >/dev/null
    done
    images run --isolation chroot "$base" -- python3 -m venv /usr/local
    images config --env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$base"
    images commit -q --rm "$base" docker.io/library/python:3.13-slim >/dev/null
    images build -q --pull-never --isolation chroot -f deploy/Dockerfile -t analytics-assets . >/dev/null
    images push -q analytics-assets "docker-archive:$work/image.tar:analytics-assets:latest"
}

start_engine() {
    ip link set lo up
    mount --make-rprivate /
    mount -t tmpfs tmpfs /run
    rm -rf "$work/docker"
    dockerd --data-root "$work/docker" -H unix:///run/docker.sock >"$work/dockerd.log" 2>&1 &
    export DOCKER_HOST=unix:///run/docker.sock
    attempt=0
    until docker version >/dev/null 2>&1; do
        attempt=$((attempt + 1))
        [ "$attempt" -lt 60 ] || { tail -n 20 "$work/dockerd.log" >&2; exit 1; }
        sleep 1
    done
    docker load -q -i "$work/image.tar"
    docker import -c 'ENTRYPOINT ["postgres.sh"]' "$work/services.tar" postgres:17
    docker import -c 'WORKDIR /data' "$work/services.tar" valkey/valkey:9
}

if [ "${1:-}" != --inside ]; then
    make_parts
    build_image
    exec unshare --net --mount --pid --fork --mount-proc sh tools/engine/run.sh --inside "$@"
fi
shift
start_engine
PATH=$work/compose/usr/bin:$PATH
status=0
"$@" || status=$?
kill "$(cat /run/docker.pid)" && wait
rm -rf "$work/docker"
exit "$status"
