{{/* Names and labels. */}}

{{- define "denyut.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-denyut" .Release.Name) (contains "denyut" .Release.Name) -}}
{{- /* A Service, unlike a release, has no dot in its name. */ -}}
{{- $name | replace "." "-" | trunc 30 | trimSuffix "-" -}}
{{- end }}

{{- define "denyut.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end }}

{{/* What a selector may hold: it can never change. Of (dict "root" $ "component" "score" "feed" name-or-nothing). */}}
{{- define "denyut.selector" -}}
app.kubernetes.io/name: denyut
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- with .feed }}
denyut/feed: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "denyut.labels" -}}
{{ include "denyut.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* Of a feed, as JSON: what it listens to, "" where that is nothing of the world outside, and its posts' source. */}}
{{- define "denyut.listens" -}}
{{- $to := first (rest .args) -}}
{{- $live := has $to (list "bluesky" "mastodon" "hackernews" "news" "push") -}}
{{- $said := regexFind "--source[= ][a-z0-9_-]+" (join " " .args) | trimPrefix "--source" | trimAll "= " -}}
{{- dict "to" (ternary $to "" $live) "source" ($said | default $to) | toJson -}}
{{- end }}

{{/* The processes that go on for ever, as JSON: who has an account, a network policy and a monitor. */}}
{{- define "denyut.components" -}}
{{- $all := list "score" "pulse" -}}
{{- if .Values.feeds }}{{ $all = append $all "feed" }}{{ end -}}
{{- if .Values.tell.enabled }}{{ $all = append $all "tell" }}{{ end -}}
{{- $all | toJson -}}
{{- end }}
