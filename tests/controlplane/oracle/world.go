package main

import (
	"context"
	"errors"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	hpaclient "k8s.io/client-go/kubernetes/typed/autoscaling/v2"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/scale"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

// world is what the controller sees and changes: the scaled object, the autoscaler's status, the metrics API.
type world struct {
	metrics.MetricsClient
	scale   *autoscalingv1.Scale
	answers map[string]Answer
	reasons map[string]string
	usages  map[string]int64
}

func (w *world) begin(asked *Case) {
	w.scale = newScale(asked.Current)
	w.answers = asked.Answers
	w.reasons = map[string]string{}
	w.usages = map[string]int64{}
}

func (w *world) GetRawMetric(name, _ string, _, _ labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	return w.byPod(name)
}

func (w *world) GetResourceMetric(_ context.Context, name corev1.ResourceName, _ string, _ labels.Selector, _ string) (metrics.PodMetricsInfo, time.Time, error) {
	return w.byPod(string(name))
}

func (w *world) GetObjectMetric(name, _ string, _ *autoscalingv2.CrossVersionObjectReference, _ labels.Selector) (int64, time.Time, error) {
	return w.total(name)
}

func (w *world) GetExternalMetric(name, _ string, _ labels.Selector) ([]int64, time.Time, error) {
	total, at, err := w.total(name)
	return []int64{total}, at, err
}

func (w *world) total(name string) (int64, time.Time, error) {
	answer := w.answers[name]
	if answer.Error != "" {
		return 0, time.Time{}, errors.New("no value: " + answer.Error)
	}
	return answer.Total, time.Now(), nil
}

func (w *world) byPod(name string) (metrics.PodMetricsInfo, time.Time, error) {
	answer := w.answers[name]
	if answer.Error != "" || len(answer.Values) == 0 { // an empty list is an error of the real client too
		return nil, time.Time{}, errors.New("no value: " + answer.Error)
	}
	found := make(metrics.PodMetricsInfo, len(answer.Values))
	for pod, milli := range answer.Values {
		found[pod] = metrics.PodMetric{Timestamp: time.Now(), Window: time.Minute, Value: milli}
	}
	return found, time.Now(), nil
}

type scales struct {
	scale.ScaleInterface
	world *world
}

func (w *world) Scales(string) scale.ScaleInterface { return scales{world: w} }

func (s scales) Get(context.Context, schema.GroupResource, string, metav1.GetOptions) (*autoscalingv1.Scale, error) {
	return s.world.scale.DeepCopy(), nil
}

func (s scales) Update(_ context.Context, _ schema.GroupResource, scale *autoscalingv1.Scale, _ metav1.UpdateOptions) (*autoscalingv1.Scale, error) {
	s.world.scale = scale.DeepCopy()
	return scale, nil
}

type statuses struct {
	hpaclient.HorizontalPodAutoscalerInterface
	world *world
}

func (w *world) HorizontalPodAutoscalers(string) hpaclient.HorizontalPodAutoscalerInterface {
	return statuses{world: w}
}

func (s statuses) UpdateStatus(_ context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, _ metav1.UpdateOptions) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	for _, condition := range hpa.Status.Conditions {
		s.world.reasons[string(condition.Type)] = condition.Reason
	}
	for _, metric := range hpa.Status.CurrentMetrics {
		if metric.Pods != nil {
			s.world.usages[metric.Pods.Metric.Name] = metric.Pods.Current.AverageValue.MilliValue()
		}
		if metric.ContainerResource != nil {
			s.world.usages[string(metric.ContainerResource.Name)] = metric.ContainerResource.Current.AverageValue.MilliValue()
		}
		if metric.Resource != nil {
			s.world.usages[string(metric.Resource.Name)] = metric.Resource.Current.AverageValue.MilliValue()
		}
		if metric.Object != nil {
			s.world.usages[metric.Object.Metric.Name] = shown(metric.Object.Current)
		}
		if metric.External != nil {
			s.world.usages[metric.External.Metric.Name] = shown(metric.External.Current)
		}
	}
	return hpa, nil
}

// shown is what a status has of an object's or an external metric: the average, or the figure itself.
func shown(current autoscalingv2.MetricValueStatus) int64 {
	if current.Value != nil {
		return current.Value.MilliValue()
	}
	return current.AverageValue.MilliValue()
}

// Events is asked for once, by the constructor; the recorder that would use it is replaced.
func (w *world) Events(string) coreclient.EventInterface { return nil }
