#!/bin/sh
# What only your own Grafana and your own cluster can show. It changes nothing in them.
#
#   deploy/smoke.sh grafana URL                    GRAFANA_TOKEN or GRAFANA_USER=name:password in the environment
#   deploy/smoke.sh cluster NAMESPACE [RELEASE]    kubectl must be logged in
set -eu
fail() { echo "not so: $*" >&2; exit 1; }

grafana() {
  url=${1%/}
  ask() {
    if [ -n "${GRAFANA_TOKEN:-}" ]; then curl -fsS -H "Authorization: Bearer $GRAFANA_TOKEN" "$@"
    else curl -fsS ${GRAFANA_USER:+-u "$GRAFANA_USER"} "$@"; fi
  }
  ask "$url/api/health" >/dev/null || fail "$url does not answer"
  ask "$url/api/datasources/uid/denyut-prometheus" >/dev/null || fail "no data source denyut-prometheus"
  for board in denyut-brands denyut-brand denyut-pipeline; do
    said=$(ask "$url/api/dashboards/uid/$board") || fail "no board $board"
    echo "$said" | grep -q '"provisioned": *true' || echo "note: $board was not provisioned, somebody may edit it"
  done
  for query in 'count(denyut_mood)' 'count(denyut_posts_total)' 'count(denyut_build_info)'; do
    ask -G "$url/api/datasources/proxy/uid/denyut-prometheus/api/v1/query" --data-urlencode "query=$query" \
      | grep -q '"result":\[{' || fail "$query is empty: does Prometheus scrape the workers?"
  done
  echo "Grafana has the boards, their data source, and figures to show"
}

cluster() {
  namespace=$1 release=${2:-denyut}
  kube() { kubectl --namespace "$namespace" "$@"; }
  mine="app.kubernetes.io/instance=$release"
  for workload in $(kube get deployments,statefulsets -l "$mine" -o name); do
    kube rollout status "$workload" --timeout=300s || fail "$workload is not ready"
  done
  pods=$(kube get pods -l "$mine" --field-selector=status.phase=Running -o name)
  [ -n "$pods" ] || fail "no pod of release $release runs in $namespace"
  for pod in $pods; do
    name=${pod#pod/}
    for page in readyz livez metrics; do
      kube get --raw "/api/v1/namespaces/$namespace/pods/$name:9100/proxy/$page" >/dev/null || fail "$name: /$page"
    done
  done
  echo "all pods of $release are ready and serve their pages"
}

case "${1:-} $#" in
  "grafana 2") grafana "$2" ;;
  "cluster 2" | "cluster 3") shift; cluster "$@" ;;
  *) sed -n '2,5p' "$0" >&2; exit 2 ;;
esac
