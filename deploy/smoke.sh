#!/bin/sh
# What only your own Grafana and your own cluster can show. It changes nothing in them.
#
#   deploy/smoke.sh grafana URL [DATASOURCE]       GRAFANA_TOKEN, or GRAFANA_USER=name:password, in the environment
#   deploy/smoke.sh cluster NAMESPACE [RELEASE]    where kubectl is logged in
#
# Grafana: the three boards are there, and through its own data source (uid denyut-prometheus, unless you name another)
# every expression of theirs is understood, and the figures that stand for all others are not empty.
# Cluster: every workload of the release is ready, and every pod serves its pages.
set -eu
fail() { echo "not so: $*" >&2; exit 1; }

ask() {
  if [ -n "${GRAFANA_TOKEN:-}" ]; then curl -fsS -m 20 -H "Authorization: Bearer $GRAFANA_TOKEN" "$@"
  else curl -fsS -m 20 ${GRAFANA_USER:+-u "$GRAFANA_USER"} "$@"; fi
}

# The expressions of a board, one a line, with its variables put in.
expressions() {
  python3 -c '
import json, re, sys
def walk(node):
    if isinstance(node, dict):
        if isinstance(node.get("expr"), str):
            yield node["expr"]
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)
spans = {"__rate_interval": "1m", "__interval": "15s", "__interval_ms": "15000", "__range": "1h"}
for expr in walk(json.load(sys.stdin)["dashboard"]):
    expr = re.sub(r"\$\{?(\w+)(:\w+)?\}?", lambda name: spans.get(name[1], ".+"), expr)
    print(" ".join(expr.split()))
'
}

grafana() {
  url=${1%/} source=${2:-denyut-prometheus}
  ask "$url/api/health" >/dev/null || fail "$url does not answer"
  ask "$url/api/datasources/uid/$source" >/dev/null || fail "no data source with the uid $source"
  query="$url/api/datasources/proxy/uid/$source/api/v1/query"
  for board in denyut-brands denyut-brand denyut-pipeline; do
    said=$(ask "$url/api/dashboards/uid/$board") || fail "no board $board"
    asked=$(echo "$said" | expressions)
    [ -n "$asked" ] || fail "$board asks for nothing"
    echo "$asked" | while IFS= read -r expr; do
      ask -G "$query" --data-urlencode "query=$expr" >/dev/null || fail "$board: refused: $expr"
    done
  done
  for expr in denyut_mood denyut_posts_total denyut_build_info; do
    ask -G "$query" --data-urlencode "query=count($expr)" | grep -q '"value"' \
      || fail "$expr is empty: does Prometheus scrape the workers?"
  done
  echo "Grafana has the boards, understands what they ask, and has figures to show"
}

cluster() {
  namespace=$1 release=${2:-denyut}
  kube() { kubectl --namespace "$namespace" "$@"; }
  mine="app.kubernetes.io/instance=$release"
  workloads=$(kube get deployments,statefulsets -l "$mine" -o name)
  [ -n "$workloads" ] || fail "no release $release in $namespace"
  for workload in $workloads; do
    kube rollout status "$workload" --timeout=300s || fail "$workload is not ready"
  done
  # From inside, for the network policies let nobody else ask.
  pods=$(kube get pods -l "$mine" --field-selector=status.phase=Running -o name) || fail "the pods cannot be listed"
  [ -n "$pods" ] || fail "no pod of $release runs in $namespace"
  for pod in $pods; do
    for page in readyz livez metrics; do
      kube exec "$pod" -- python3 -c \
        "import urllib.request as r; r.urlopen('http://127.0.0.1:9100/$page', timeout=10)" || fail "$pod: /$page"
    done
  done
  echo "every workload of $release is ready, and every pod serves its pages"
}

case "${1:-} $#" in
  "grafana 2" | "grafana 3") shift; grafana "$@" ;;
  "cluster 2" | "cluster 3") shift; cluster "$@" ;;
  *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
