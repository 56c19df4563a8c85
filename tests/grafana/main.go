// Reads a dashboard as Grafana's own types have it, strictly: what they do not know is refused, field by field,
// and so is what breaks a rule of theirs. A panel or a query of a kind that is not registered would be read by
// nobody, so it is refused, too.
//
//	grafana < dashboard.json
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	raw, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = held(raw)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func held(raw []byte) error {
	runtime := cog.NewRuntime()
	panels := []variants.PanelcfgConfig{stat.VariantConfig(), table.VariantConfig(), timeseries.VariantConfig()}
	for _, one := range panels {
		runtime.RegisterPanelcfgVariant(one)
	}
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	var strict, read dashboard.Dashboard
	// Of what is right it gives an empty list of errors in place of none, and drops panels that were read.
	if err := strict.UnmarshalJSONStrict(raw); err != nil && err.Error() != "" {
		return err
	}
	if err := json.Unmarshal(raw, &read); err != nil {
		return err
	}
	return errors.Join(read.Validate(), known(runtime, read.Panels))
}

// A row has no panels in it while it is open: they follow it.
func known(runtime *cog.Runtime, panels []dashboard.PanelOrRowPanel) error {
	var unknown []error
	for number, one := range panels {
		if one.Panel == nil {
			continue
		}
		if _, found := runtime.ConfigForPanelcfgVariant(one.Panel.Type); !found {
			unknown = append(unknown, fmt.Errorf("panels[%d].type: %q is no known panel", number, one.Panel.Type))
		}
		for place, target := range one.Panel.Targets {
			switch target.(type) {
			case prometheus.Dataquery, *prometheus.Dataquery:
			default:
				unknown = append(unknown, fmt.Errorf("panels[%d].targets[%d]: no query of Prometheus", number, place))
			}
		}
	}
	return errors.Join(unknown...)
}
