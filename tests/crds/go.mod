module forescale.dev/crds

go 1.26.4

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/prometheus-operator/prometheus-operator v0.94.0
)
