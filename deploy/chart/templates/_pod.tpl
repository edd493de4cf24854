{{/* A pod of Denyut, as restricted as a pod can be. Of a dict:
       root, component, feed   whose pod
       entry                   a feed's, as the values say it
       args                    what `denyut` is told
       settings, more          DENYUT_* from values, and from the chart itself
       resources               requests and a memory limit
       job                     it ends by itself: no pages to ask
     The environment stands in the pod's template, so a changed setting rolls the pods by itself. The brand file does
     not: workers re-read it, and a restart would cost them a rebalance. */}}
{{- define "denyut.pod" -}}
{{- $values := .root.Values -}}
{{- $entry := .entry | default dict -}}
metadata:
  labels:
    {{- include "denyut.selector" . | nindent 4 }}
    # Not the chart's version: a release of the chart that changes nothing in a pod restarts none.
    app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if or $values.podAnnotations (include "denyut.policy" .) }}
  annotations:
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if include "denyut.policy" . }}
    # It is read when a feed starts: another one rolls it.
    denyut/policy: {{ sha256sum $values.policy | quote }}
    {{- end }}
  {{- end }}
spec:
  serviceAccountName: {{ include "denyut.fullname" .root }}-{{ .component }}
  automountServiceAccountToken: false
  # Kubernetes would name every service here in a variable, and the program refuses those that it does not know.
  enableServiceLinks: false
  {{- if .job }}
  restartPolicy: Never
  {{- end }}
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and $values.topologySpread (has .component (list "score" "pulse")) }}
  topologySpreadConstraints:
    {{- range $values.topologySpread }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "denyut.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "denyut.image" .root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: {{ toJson .args }}
      env:
        {{- include "denyut.env" . | trim | nindent 8 }}
      {{- if not .job }}
      ports:
        - {name: metrics, containerPort: 9100}
        {{- with $entry.port }}
        - {name: push, containerPort: {{ . }}}
        {{- end }}
      {{- include "denyut.probes" . | nindent 6 }}
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- if include "denyut.kafka.files" . }}
        # What is here is read once: another password or certificate takes a restart.
        - {name: kafka, mountPath: /etc/denyut/kafka, readOnly: true}
        {{- end }}
        {{- if include "denyut.brands" . }}
        # The folder, never a subPath: a file mounted so would stay as it was when the pod began.
        - {name: brands, mountPath: /etc/denyut/brands, readOnly: true}
        {{- end }}
        {{- if include "denyut.secret" . }}
        - {name: secret, mountPath: /etc/denyut/secret, readOnly: true}
        {{- end }}
        {{- if $entry.secrets }}
        # As a folder too: a token that is renewed arrives by itself, and is read at the next connection.
        - {name: secrets, mountPath: /etc/denyut/secrets, readOnly: true}
        {{- end }}
        {{- if include "denyut.policy" . }}
        - {name: policy, mountPath: /etc/denyut/policy, readOnly: true}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- with include "denyut.kafka.files" . }}
    - name: kafka
      projected:
        defaultMode: 0440
        sources:
          {{- . | trim | nindent 10 }}
    {{- end }}
    {{- with include "denyut.brands" . }}
    - name: brands
      configMap:
        name: {{ . | quote }}
    {{- end }}
    {{- with include "denyut.secret" . }}
    - name: secret
      secret:
        secretName: {{ . | quote }}
        defaultMode: 0440
        items:
          - {key: {{ $values.secret.key | quote }}, path: ids.key}
    {{- end }}
    {{- with $entry.secrets }}
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          {{- range . }}
          - secret:
              name: {{ .secret | quote }}
              items:
                - {key: {{ .key | quote }}, path: {{ .path | quote }}}
          {{- end }}
    {{- end }}
    {{- with include "denyut.policy" . }}
    - name: policy
      configMap:
        name: {{ . | quote }}
    {{- end }}
{{- end }}

{{/* The ConfigMap with the brand file; nothing: the demo's brands. The job runs before there is one, and needs none. */}}
{{- define "denyut.brands" -}}
{{- $brands := .root.Values.brands -}}
{{- if .job -}}
{{- else if $brands.existingConfigMap }}{{ $brands.existingConfigMap }}
{{- else if $brands.file }}{{ include "denyut.fullname" .root }}-brands
{{- end -}}
{{- end }}

{{/* The secret with the key for ids: of the feeds alone. What they wrote is hidden already, and no worker needs the key. */}}
{{- define "denyut.secret" -}}
{{- if eq .component "feed" }}{{ .root.Values.secret.existingSecret }}{{ end -}}
{{- end }}

{{/* The ConfigMap with policy entries of your own: of the feeds alone, which ask it whether their source may be heard. */}}
{{- define "denyut.policy" -}}
{{- if and (eq .component "feed") .root.Values.policy }}{{ include "denyut.fullname" .root }}-policy{{ end -}}
{{- end }}

{{- define "denyut.env" -}}
{{- $values := .root.Values -}}
{{- $env := dict
  "DENYUT_BROKERS" $values.kafka.brokers
  "DENYUT_PREFIX" $values.kafka.prefix
  "DENYUT_SOURCES" (join "," $values.sources)
  "DENYUT_HTTP" "0.0.0.0:9100"
  "DENYUT_STOP_MS" (printf "%ds" (int64 $values.stopSeconds))
  "ORT_DISABLE_TELEMETRY" "1"
  "HF_HUB_OFFLINE" "1" -}}
{{- $env = merge $env (include "denyut.kafka.env" . | fromJson) -}}
{{- if include "denyut.brands" . }}{{ $_ := set $env "DENYUT_BRANDS" (printf "/etc/denyut/brands/%s" $values.brands.key) }}{{ end -}}
{{- if include "denyut.secret" . }}{{ $_ := set $env "DENYUT_SECRET_FILE" "/etc/denyut/secret/ids.key" }}{{ end -}}
{{- if include "denyut.policy" . }}{{ $_ := set $env "DENYUT_POLICY" "/etc/denyut/policy/policy.toml" }}{{ end -}}
{{- range $name, $value := merge (dict) (.settings | default dict) $values.settings -}}
{{- /* A whole number comes from YAML as a float, and 1000000 would be printed as 1e+06. */ -}}
{{- $_ := set $env (printf "DENYUT_%s" (upper $name)) (ternary (printf "%v" $value) (toString ($value | int64)) (kindIs "string" $value)) -}}
{{- end -}}
{{- range $name, $value := .more }}{{ $_ := set $env $name $value }}{{ end -}}
{{- range $name := keys $env | sortAlpha }}
- {name: {{ $name }}, value: {{ get $env $name | quote }}}
{{- end }}
{{- if eq .component "pulse" }}
# Its own name in its group, the same after a restart: its partitions wait for it.
- name: DENYUT_INSTANCE
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{- end }}

{{/* Startup: five minutes for the model and for Kafka. Liveness: the loop's heartbeat alone, never Kafka: a restart mends
     no broker. Readiness: model, partitions and recovery, as /readyz says in words. */}}
{{- define "denyut.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 3
{{- end }}
