{{- define "forescale.labels" -}}
app.kubernetes.io/name: forescale
app.kubernetes.io/part-of: forescale
{{- end }}

{{- define "forescale.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .version }}
{{- end }}
{{- end }}
