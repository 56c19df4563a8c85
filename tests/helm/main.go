// Renders a chart with Helm's own loader, schema check, engine and linter: what `helm template` and
// `helm lint` do, without the parts of Helm that talk to clusters and registries.
//
//	helm CHART NAMESPACE < values.yaml
package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

const kubernetes = "v1.37.2"

func main() {
	slog.SetLogLoggerLevel(slog.LevelWarn) // the chart's files are links, which Helm tells each time
	text, err := render(os.Args[1], os.Args[2], os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(text)
}

func render(folder, namespace string, input io.Reader) (string, error) {
	values, err := loader.LoadValues(input)
	if err != nil {
		return "", err
	}
	version, err := common.ParseKubeVersion(kubernetes)
	if err != nil {
		return "", err
	}
	if err := linted(folder, namespace, values, version); err != nil {
		return "", err
	}
	loaded, err := loader.Load(folder)
	if err != nil {
		return "", err
	}
	capabilities := *common.DefaultCapabilities
	capabilities.KubeVersion = *version
	release := common.ReleaseOptions{Name: "forescale", Namespace: namespace, IsInstall: true, Revision: 1}
	all, err := util.ToRenderValues(loaded, values, release, &capabilities)
	if err != nil {
		return "", err
	}
	rendered, err := engine.Render(loaded, all)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, path := range slices.Sorted(maps.Keys(rendered)) {
		if filepath.Ext(path) == ".yaml" {
			fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", path, rendered[path])
		}
	}
	return text.String(), nil
}

func linted(folder, namespace string, values map[string]any, version *common.KubeVersion) error {
	found := lint.RunAll(folder, values, namespace, lint.WithKubeVersion(version))
	var told []error
	for _, message := range found.Messages {
		if message.Severity > 1 { // beyond "icon is recommended"
			told = append(told, fmt.Errorf("%s", message.Error()))
		}
	}
	if len(told) == 0 {
		return nil
	}
	return fmt.Errorf("%v", told)
}
