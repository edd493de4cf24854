#!/bin/sh
# The rules and the boards, into the chart: Helm reads no file outside it. `make chart` calls this; a test compares.
set -eu
cd "$(dirname "$0")"
rm -rf files
mkdir -p files/rules files/boards
cp ../prometheus/rules/*.rules.yml files/rules/
cp ../grafana/dashboards/*.json files/boards/
