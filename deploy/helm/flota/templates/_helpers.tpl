{{/* Name of everything: the release, and the chart's name unless it is in there already. */}}
{{- define "flota.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 24 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end -}}

{{/* Labels that pods are found by; they must not change between releases. */}}
{{- define "flota.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "flota.labels" -}}
{{ include "flota.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* What every pod has in common, but for its containers. */}}
{{- define "flota.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
{{- if .Values.queues }}
  - name: queues
    configMap: { name: {{ include "flota.name" . }}-queues }
{{- end }}
{{- end -}}

{{/* What every container has in common, but for its name, arguments and probes. */}}
{{- define "flota.container" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy | default "IfNotPresent" }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
envFrom:
  - secretRef: { name: {{ required "existingSecret: name a Secret that has REDIS_URL and DATABASE_URL" .Values.existingSecret }} }
env:
{{- range $name, $value := .Values.env }}
  - name: {{ $name }}
    value: {{ $value | quote }}
{{- end }}
{{- if .Values.queues }}
  - name: FLOTA_QUEUES_FILE
    value: /etc/flota/queues.toml
{{- end }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
{{- if .Values.queues }}
  - name: queues
    mountPath: /etc/flota
    readOnly: true
{{- end }}
{{- end -}}

{{/* Probes of the port `admin`. A pod that cannot reach Redis or Postgres is not ready, but it is not restarted: a new
     start would not mend that. Starting may take ten minutes, so that a fleet that starts before its servers waits. */}}
{{- define "flota.probes" -}}
startupProbe:
  httpGet: { path: /startupz, port: admin }
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 120
livenessProbe:
  httpGet: { path: /livez, port: admin }
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet: { path: /readyz, port: admin }
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{/* Refuses values that are right one by one and cannot work together. */}}
{{- define "flota.check" -}}
{{- $always := 0 -}}
{{- range $name, $group := .Values.workers -}}
{{- if gt (int $group.replicas.min) (int $group.replicas.max) -}}
{{- fail (printf "workers.%s.replicas: min %d is more than max %d" $name (int $group.replicas.min) (int $group.replicas.max)) -}}
{{- end -}}
{{- if and (not $.Values.scaling.enabled) (eq (int $group.replicas.min) 0) -}}
{{- fail (printf "workers.%s.replicas.min: 0 pods would stay 0, because scaling.enabled is false; write at least 1" $name) -}}
{{- end -}}
{{- $always = add $always $group.replicas.min -}}
{{- end -}}
{{- if eq (int $always) 0 -}}
{{- fail "workers: every group may scale to zero; give one replicas.min of at least 1, because the outbox, schedules and retention need a running worker" -}}
{{- end -}}
{{- end -}}
