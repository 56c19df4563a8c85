//go:build tools

// The peers and oracles of the tests are fixed here beside the control plane, so that all of them are built
// from one set of versions: a program added later would move versions and cost a cold build.
package main

import (
	_ "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	_ "k8s.io/kubernetes/pkg/controller/podautoscaler"
	_ "sigs.k8s.io/custom-metrics-apiserver/test-adapter"
	_ "sigs.k8s.io/metrics-server/cmd/metrics-server"
)
