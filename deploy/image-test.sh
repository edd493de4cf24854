#!/usr/bin/env bash
# Builds the image and runs it as a cluster would: no network, read-only root, no capabilities, not root, memory capped.
#
#   deploy/image-test.sh           (`make image-test`); with KEEP=1 the image stays, and its name is printed
#
# Docker if it answers, else podman; if neither is there and this is root on Debian, podman and runc are installed.
# Where no registry can be reached the base is made from Debian's packages instead: the same system under the same name.
# PIP_CERT and PIP_INDEX_URL, if set, go into the build as secrets: the image keeps neither.
set -euo pipefail
cd "$(dirname "$0")/.."

BASE=docker.io/library/debian:trixie-slim
IMAGE=localhost/denyut:image-test
SECONDS_OF_DEMO=${SECONDS_OF_DEMO:-60}
made=$PWD/build/image  # what is worth keeping between runs: the stand-in base
work=$(mktemp -d /var/tmp/denyut-image.XXXXXX)
engine=()
stood_in=
hardened=(--rm --network=none --read-only --cap-drop=ALL --security-opt=no-new-privileges --memory=1g --pids-limit=256
          --tmpfs "/tmp:rw,nosuid,nodev,noexec,size=64m")

say() { printf 'image-test: %s\n' "$*" >&2; }
die() { say "FAILED: $*"; exit 1; }

clean() {
  code=$?
  trap - EXIT
  if [ "${KEEP:-}" = 1 ]; then
    say "kept: ${engine[*]} run --rm $IMAGE; remove $work when done"
  elif [ "${engine[0]:-}" = podman ]; then
    # All that podman made lies below $work; its mounts must go before the folder does.
    "${engine[@]}" rm --all --force >/dev/null 2>&1 || true
    "${engine[@]}" rmi --all --force >/dev/null 2>&1 || true
    umount "$work/root/overlay" 2>/dev/null || true
    if [ "$(id -u)" = 0 ]; then rm -rf "$work"; else podman unshare rm -rf "$work"; fi
  else
    # A stand-in does not stay under the name of what it stands in for.
    [ -z "${engine[*]}" ] || "${engine[@]}" rmi --force "$IMAGE" ${stood_in:+"$BASE"} >/dev/null 2>&1 || true
    rm -rf "$work"
  fi
  exit "$code"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- an engine ---
use_podman() {
  # crun, podman's default, wants CAP_SYS_RESOURCE and one cgroup hierarchy; runc works without either.
  if command -v runc >/dev/null || [ -x /usr/sbin/runc ]; then
    printf '%s\n' '[containers]' 'default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]' '[engine]' \
      'runtime = "runc"' 'cgroup_manager = "cgroupfs"' 'events_logger = "file"' > "$work/containers.conf"
    export CONTAINERS_CONF=$work/containers.conf
  fi
  engine=(podman --root "$work/root" --runroot "$work/run")
  hardened+=(--read-only-tmpfs=false)  # or podman would make /run and /var/tmp writable
}

find_engine() {
  if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    engine=(docker)
    export DOCKER_BUILDKIT=1
    return
  fi
  if ! command -v podman >/dev/null; then
    [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] \
      || die "no container engine: start Docker, or install podman and runc"
    say "no container engine here: installing podman, buildah, runc, netavark and aardvark-dns with apt-get"
    apt-get -qq update
    apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends \
      podman buildah runc netavark aardvark-dns >/dev/null
  fi
  use_podman
}

# --- the base ---
stand_in() {
  stood_in=yes
  if [ ! -s "$made/base.tar" ]; then
    if ! command -v mmdebstrap >/dev/null; then
      [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] || die "$BASE cannot be pulled, and there is no mmdebstrap"
      say "installing mmdebstrap with apt-get"
      apt-get -qq update
      apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends mmdebstrap >/dev/null
    fi
    mkdir -p "$made"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$' | head -1)
    mmdebstrap --quiet --variant=minbase --dpkgopt='path-exclude=/usr/share/doc/*' \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
      --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
      trixie "$made/base.tar.part" ${mirror:+"$mirror"} --format=tar
    mv "$made/base.tar.part" "$made/base.tar"
  fi
  "${engine[@]}" import "$made/base.tar" "$BASE" >/dev/null 2>"$work/import.log" || die "$(cat "$work/import.log")"
}

find_base() {
  if "${engine[@]}" image inspect "$BASE" >/dev/null 2>&1; then
    return
  elif timeout 120 "${engine[@]}" pull --quiet "$BASE" >/dev/null 2>"$work/pull.log"; then
    say "base: $BASE, pulled"
  else
    say "base: $BASE cannot be pulled ($(tail -n 1 "$work/pull.log" | cut -c 1-120)); making it of Debian's packages"
    stand_in
  fi
}

# --- the image ---
build() {
  secrets=()
  : > "$work/pip.conf"
  if [ -n "${PIP_CERT:-}${PIP_INDEX_URL:-}" ]; then
    echo '[global]' > "$work/pip.conf"
    [ -z "${PIP_INDEX_URL:-}" ] || echo "index-url = $PIP_INDEX_URL" >> "$work/pip.conf"
    if [ -n "${PIP_CERT:-}" ]; then
      echo 'cert = /run/secrets/ca' >> "$work/pip.conf"
      secrets+=(--secret "id=ca,src=$PIP_CERT")
    fi
    secrets+=(--secret "id=pip,src=$work/pip.conf")
  fi
  seconds=$(git log -1 --format=%ct 2>/dev/null || date +%s)
  if [ "${engine[0]}" = podman ]; then
    how=(--pull=never --network=host --ignorefile deploy/Dockerfile.dockerignore)
  else
    how=(--progress=plain)
  fi
  "${engine[@]}" build "${how[@]}" "${secrets[@]}" --file deploy/Dockerfile --tag "$IMAGE" \
    --build-arg "SOURCE_DATE_EPOCH=$seconds" --build-arg "CREATED=$(date -u -d "@$seconds" +%FT%TZ)" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" . \
    > "$work/build.log" 2>&1 || { tail -n 60 "$work/build.log" >&2; die "the image does not build"; }
}

run() { "${engine[@]}" run "${hardened[@]}" "$@"; }

inside() { run --entrypoint sh "$IMAGE" -c "$1"; }

# --- what must hold ---
is_labelled() {
  about=$("${engine[@]}" image inspect "$IMAGE" --format '{{.Config.User}} {{json .Config.Labels}} {{json .Config.Env}}')
  case $about in 10001:10001\ *) ;; *) die "the image runs as ${about%% *}, expected 10001:10001" ;; esac
  for wanted in "\"org.opencontainers.image.version\":\"$version\"" '"ORT_DISABLE_TELEMETRY=1"'; do
    case $about in *"$wanted"*) ;; *) die "no $wanted in the image's configuration: $about" ;; esac
  done
  if "${engine[@]}" history --no-trunc "$IMAGE" | grep -E 'PIP_(CERT|INDEX)|index-url|BEGIN CERTIFICATE' >&2; then
    die "something of this machine is in the image's history"
  fi
  [ "$(inside 'cat /etc/pip.conf /run/secrets/* 2>/dev/null | wc -c')" = 0 ] || die "a secret of the build is in the image"
}

is_sized() {
  bytes=$("${engine[@]}" image inspect "$IMAGE" --format '{{.Size}}')
  packed=$("${engine[@]}" save "$IMAGE" | gzip -1 | wc -c)
  say "size: $((bytes / 1000000)) MB on disk, $((packed / 1000000)) MB compressed (gzip -1)"
}

is_confined() {
  status=$(inside 'id -u; grep -E "^(CapEff|CapBnd|NoNewPrivs):" /proc/self/status | tr -d "\t"; cat /proc/net/dev | grep -c :')
  expected=$(printf '%s\n' 10001 CapBnd:0000000000000000 CapEff:0000000000000000 NoNewPrivs:1 1 | sort)
  [ "$(sort <<<"$status")" = "$expected" ] || die "the container is not confined: $status"
  for folder in / /opt/denyut /run /var/tmp /home; do
    if inside "touch $folder/probe" 2>/dev/null; then die "$folder can be written"; fi
  done
}

answers() {
  said=$(run "$IMAGE" --version)
  [ "$said" = "denyut $version" ] || die "denyut --version says '$said', expected 'denyut $version'"
  said=$(run "$IMAGE" score "bagus sekali")
  case $said in positive*) say "score: $said" ;; *) die "denyut score \"bagus sekali\" says '$said'" ;; esac
  run "$IMAGE" model check >/dev/null || die "denyut model check"
}

knows_whom_to_trust() {
  known=$(inside 'python3 -c "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"')
  [ "$known" -gt 50 ] || die "feeds would trust no server: $known certificate authorities"
}

tells_nobody() {
  # Files of more than a container's own: /tmp is all that can be written. First that the look would find something.
  look='find /tmp -mindepth 1'
  [ -n "$(inside "env -u ORT_DISABLE_TELEMETRY python3 -c 'import onnxruntime' && $look")" ] \
    || say "note: this onnxruntime leaves nothing behind even without ORT_DISABLE_TELEMETRY"
  left=$(inside "python3 -c 'import onnxruntime' && denyut score x >/dev/null && $look")
  [ -z "$left" ] || die "left behind, telemetry perhaps: $left"
}

stops_without_its_secret() {
  code=0
  posts=/opt/denyut/lib/python3*/site-packages/streams/demo/reviews.jsonl
  said=$(run --env DENYUT_SECRET_FILE=/run/secrets/none --entrypoint sh "$IMAGE" -c "exec denyut feed file $posts" 2>&1) || code=$?
  case "$code $said" in
    "2 "*"DENYUT_SECRET_FILE: no such file"*) say "without its secret: $said" ;;
    *) die "a feed without its secret file ended with $code: $said" ;;
  esac
}

runs_the_demo() {
  say "denyut demo --headless --for $SECONDS_OF_DEMO"
  account=$(run "$IMAGE" demo --headless --for "$SECONDS_OF_DEMO" 2>"$work/demo.log") \
    || { tail -n 30 "$work/demo.log" >&2; die "the demo: ${account:-no account}"; }
  say "$account"
  run --interactive --entrypoint python3 "$IMAGE" -c '
import json, sys
account = json.load(sys.stdin)
wrong = {name: account[name] for name in ("lost", "doubled") if account[name] != 0}
sys.exit(f"image-test: FAILED: {wrong}" if wrong or not account["mentions"] else 0)' <<<"$account"
}

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
find_engine
say "engine: $("${engine[0]}" --version)"
find_base
started=$SECONDS
build
say "built in $((SECONDS - started)) s"
is_labelled
is_confined
answers
knows_whom_to_trust
tells_nobody
stops_without_its_secret
runs_the_demo
is_sized
say "good"
