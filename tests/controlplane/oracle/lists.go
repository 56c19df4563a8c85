package main

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	custombeta1 "k8s.io/metrics/pkg/apis/custom_metrics/v1beta1"
	custombeta2 "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	externalbeta1 "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	metricsbeta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	customclient "k8s.io/metrics/pkg/client/custom_metrics"
)

// List is what a typed client has in its hands: the version and every field of every item.
type List struct {
	Error   string `json:"error,omitempty"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
	Items   []Item `json:"items"`
}

// Item has the fields of all kinds of list; `window` is in nanoseconds, null where there is none.
type Item struct {
	Object     *corev1.ObjectReference     `json:"object,omitempty"`
	Namespace  string                      `json:"namespace,omitempty"`
	Name       string                      `json:"name,omitempty"`
	Labels     map[string]string           `json:"labels,omitempty"`
	Metric     string                      `json:"metric,omitempty"`
	Selector   bool                        `json:"selector,omitempty"`
	At         int64                       `json:"at"`
	Window     *int64                      `json:"window"`
	Milli      int64                       `json:"milli"`
	Containers map[string]map[string]int64 `json:"containers,omitempty"`
}

var strict = decoder()

var converter = customclient.NewMetricConverter()

// decoder refuses what no field takes and what is there twice.
func decoder() runtime.Decoder {
	scheme := runtime.NewScheme()
	utilruntime.Must(custombeta1.AddToScheme(scheme))
	utilruntime.Must(custombeta2.AddToScheme(scheme))
	utilruntime.Must(externalbeta1.AddToScheme(scheme))
	utilruntime.Must(metricsbeta1.AddToScheme(scheme))
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}

func list(body string) List {
	found, version, err := strict.Decode([]byte(body), nil, nil)
	if err != nil {
		return List{Error: err.Error()}
	}
	items, err := itemsOf(found)
	if err != nil {
		return List{Error: err.Error()}
	}
	return List{Version: version.GroupVersion().String(), Kind: version.Kind, Items: items}
}

func itemsOf(found runtime.Object) ([]Item, error) {
	items := []Item{}
	switch list := found.(type) {
	case *custombeta1.MetricValueList: // the client makes a v1beta2 of it
		newer, err := converter.UnsafeConvertToVersionVia(list, custombeta2.SchemeGroupVersion)
		if err != nil {
			return nil, err
		}
		return itemsOf(newer)
	case *custombeta2.MetricValueList:
		for _, one := range list.Items {
			items = append(items, custom(one))
		}
	case *externalbeta1.ExternalMetricValueList:
		for _, one := range list.Items {
			items = append(items, Item{Metric: one.MetricName, Labels: one.MetricLabels, At: one.Timestamp.Unix(),
				Window: nanoseconds(one.WindowSeconds), Milli: one.Value.MilliValue()})
		}
	case *metricsbeta1.PodMetricsList:
		for _, one := range list.Items {
			items = append(items, ofPod(one))
		}
	default:
		return nil, fmt.Errorf("a %T is no list of metrics", found)
	}
	return items, nil
}

func custom(one custombeta2.MetricValue) Item {
	return Item{Object: &one.DescribedObject, Metric: one.Metric.Name, Selector: one.Metric.Selector != nil,
		At: one.Timestamp.Unix(), Window: nanoseconds(one.WindowSeconds), Milli: one.Value.MilliValue()}
}

func ofPod(one metricsbeta1.PodMetrics) Item {
	window := one.Window.Nanoseconds()
	containers := map[string]map[string]int64{}
	for _, container := range one.Containers {
		usage := map[string]int64{}
		for name, quantity := range container.Usage {
			usage[string(name)] = quantity.MilliValue()
		}
		containers[container.Name] = usage
	}
	return Item{Namespace: one.Namespace, Name: one.Name, Labels: one.Labels, At: one.Timestamp.Unix(),
		Window: &window, Containers: containers}
}

func nanoseconds(seconds *int64) *int64 {
	if seconds == nil {
		return nil
	}
	found := *seconds * 1e9
	return &found
}
