#!/bin/sh
# Draws a board with Grafana's components: look.sh BOARD.json PROMETHEUS_URL OUT.png [options]. See README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ -d "$here/node_modules" ] || npm --prefix "$here" install --no-audit --no-fund --loglevel=error >&2
exec node "$here/look.mjs" "$@"
