{{/* How a process reaches Kafka. Names of secrets alone: what is in them is mounted, and never rendered. */}}

{{/* Its login, as JSON: user, passwordSecret, passwordKey, certSecret. Each is its own where it names one, else that of its
     kind, else that of all. Of a dict: root, component (keda is one), and entry, that of a feed. */}}
{{- define "denyut.login" -}}
{{- $v := .root.Values -}}
{{- $own := .entry | default dict -}}
{{- $levels := get (dict
  "score" (list $v.score.kafka)
  "keda" (list $v.score.keda.kafka $v.score.kafka)
  "pulse" (list $v.pulse.kafka)
  "feed" (list ($own.kafka | default dict) $v.feed.kafka)
  "tell" (list $v.tell.kafka)
  "topics" (list $v.topics.kafka)) .component -}}
{{- $all := dict "user" $v.kafka.sasl.user "passwordSecret" $v.kafka.sasl.passwordSecret
  "passwordKey" $v.kafka.sasl.passwordKey "certSecret" $v.kafka.tls.certSecret -}}
{{- $login := dict -}}
{{- range append $levels $all }}{{ $login = merge $login (deepCopy .) }}{{ end -}}
{{- $login | toJson -}}
{{- end }}

{{/* The settings of it, as JSON. */}}
{{- define "denyut.kafka.env" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $login := include "denyut.login" . | fromJson -}}
{{- $env := dict -}}
{{- if $kafka.plaintext }}{{ $_ := set $env "DENYUT_PLAINTEXT" "allow" }}{{ end -}}
{{- if $kafka.tls.enabled -}}
{{- $_ := set $env "DENYUT_TLS" "on" -}}
{{- if or $kafka.tls.caSecret $kafka.tls.caConfigMap }}{{ $_ := set $env "DENYUT_TLS_CA" "/etc/denyut/kafka/ca.crt" }}{{ end -}}
{{- if $login.certSecret -}}
{{- $_ := set $env "DENYUT_TLS_CERT" "/etc/denyut/kafka/client.crt" -}}
{{- $_ := set $env "DENYUT_TLS_KEY" "/etc/denyut/kafka/client.key" -}}
{{- end -}}
{{- if $kafka.sasl.mechanism -}}
{{- $_ := set $env "DENYUT_SASL" $kafka.sasl.mechanism -}}
{{- $_ := set $env "DENYUT_USER" $login.user -}}
{{- $_ := set $env "DENYUT_PASSWORD_FILE" "/etc/denyut/kafka/password" -}}
{{- end -}}
{{- end -}}
{{- $env | toJson -}}
{{- end }}

{{/* What those settings name, as the sources of one volume; nothing: nothing is needed. */}}
{{- define "denyut.kafka.files" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $login := include "denyut.login" . | fromJson -}}
{{- if $kafka.tls.enabled }}
{{- with $kafka.tls.caSecret }}
- secret:
    name: {{ . | quote }}
    items:
      - {key: {{ $kafka.tls.caKey | quote }}, path: ca.crt}
{{- end }}
{{- with $kafka.tls.caConfigMap }}
- configMap:
    name: {{ . | quote }}
    items:
      - {key: {{ $kafka.tls.caKey | quote }}, path: ca.crt}
{{- end }}
{{- with $login.certSecret }}
- secret:
    name: {{ . | quote }}
    items:
      - {key: {{ $kafka.tls.certKey | quote }}, path: client.crt}
      - {key: {{ $kafka.tls.keyKey | quote }}, path: client.key}
{{- end }}
{{- if $kafka.sasl.mechanism }}
- secret:
    name: {{ $login.passwordSecret | quote }}
    items:
      - {key: {{ $login.passwordKey | quote }}, path: password}
{{- end }}
{{- end }}
{{- end }}
