#!/bin/sh
# Draws every board over invented data: preview.sh OUTDIR [look.sh's options]. Needs the repository's .venv and
# prometheus and promtool: PROGRAMS=folder, else build/tools/forky/usr/bin (`make build/tools/forky/.fetched`).
set -eu
out=${1:?usage: preview.sh OUTDIR [options of look.sh]}; shift
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
programs=${PROGRAMS:-$root/build/tools/forky/usr/bin}
port=${PORT:-19191}
end=${END:-2026-06-18T13:53:00Z}
mkdir -p "$out"
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT INT TERM

serve() {
    "$programs/prometheus" --config.file=/dev/null --storage.tsdb.path="$work/data" --storage.tsdb.retention.time=100y \
        --web.listen-address="127.0.0.1:$port" --log.level=error 2> "$work/prometheus.log" & server=$!
    n=0
    until curl -fs -m 2 "http://127.0.0.1:$port/-/ready" > /dev/null 2>&1; do
        n=$((n + 1)); [ "$n" -lt 50 ] || { cat "$work/prometheus.log" >&2; exit 1; }
        sleep 0.2
    done
}

(cd "$root" && PYTHONPATH=. .venv/bin/python "$here/invent.py" --end "$end") > "$work/invented.om"
mkdir "$work/data"
"$programs/promtool" tsdb create-blocks-from openmetrics "$work/invented.om" "$work/data" > /dev/null
serve
if ls "$root"/deploy/prometheus/rules/*.yml > /dev/null 2>&1; then # the recorded series, as if the rules had run
    last=$(date -d "$end" +%s)
    # Again and again: promtool does not see what it has just recorded, and a share of voice is made of what was recorded.
    for rules in '*' brands brands brands brands brands; do
        "$programs/promtool" tsdb create-blocks-from rules --start $((last - 7 * 3600)) --end "$last" --eval-interval 30s \
            --output-dir "$work/data" --url "http://127.0.0.1:$port" "$root"/deploy/prometheus/rules/$rules.rules.yml \
            > "$work/rules.log" 2>&1 || cat "$work/rules.log" >&2
        kill "$server"; wait "$server" 2> /dev/null || true
        serve
    done
fi
for board in "${BOARDS:-$root/deploy/grafana/dashboards}"/*.json; do
    name=$(basename "$board" .json)
    case $name in
        *-brand) "$here/look.sh" "$board" "http://127.0.0.1:$port" "$out/$name.png" --to "$end" --var brand=kopi-lumora "$@" ;;
        *) "$here/look.sh" "$board" "http://127.0.0.1:$port" "$out/$name.png" --to "$end" "$@" ;;
    esac
done
