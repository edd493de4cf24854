#!/bin/sh
# Programs out of Debian's packages, without touching the system: no root, no service started, nothing configured.
#
#   deploy/tools/debian.sh SUITE FOLDER PACKAGE...      the programs are then below FOLDER/usr/bin
#
# The mirror is the one this machine uses already; a signature that does not hold stops it.
set -eu
[ $# -ge 3 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
suite=$1 folder=$2; shift 2
command -v apt-get >/dev/null && command -v dpkg >/dev/null \
  || { echo "no apt-get here: install $* yourself, and put them on PATH" >&2; exit 2; }
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keys" ] || { echo "no $keys here: install debian-archive-keyring" >&2; exit 2; }
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$' | head -1)
root=$(mktemp -d); trap 'rm -rf "$root"' EXIT
mkdir -p "$root/lists/partial" "$root/cache/archives/partial" "$root/debs" "$folder"
[ -n "$mirror" ] || { echo "apt knows no mirror of Debian here" >&2; exit 2; }
echo "deb [signed-by=$keys] $mirror $suite main" > "$root/sources.list"
apt() {
  tool=$1; shift
  "$tool" -qq -o "Dir::Etc::sourcelist=$root/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o "Dir::State::lists=$root/lists" -o "Dir::Cache=$root/cache" -o "APT::Sandbox::User=$(id -un)" \
    -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}
apt apt-get update
for package in "$@"; do
  version=$(apt apt-cache madison "$package" \
    | awk -F'|' -v suite=" $suite/" 'index($3, suite) { gsub(/ /, "", $2); print $2; exit }')
  [ -n "$version" ] || { echo "no $package in $suite" >&2; exit 1; }
  (cd "$root/debs" && apt apt-get download "$package=$version")
done
for file in "$root"/debs/*.deb; do dpkg -x "$file" "$folder"; done
