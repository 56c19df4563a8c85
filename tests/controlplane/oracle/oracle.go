package main

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	defaults "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
)

const (
	namespace = "default"
	key       = namespace + "/hpa"
	appLabel  = "llm"
)

// oneGPU is what every pod requests, as the replica's ResourceMetric has it.
var oneGPU = corev1.ResourceRequirements{Requests: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}}

// oracle is one controller with stand-ins around it: nothing between a case and its decision is ours.
type oracle struct {
	controller *podautoscaler.HorizontalController
	pods       cache.Indexer
	world      *world
	ctx        context.Context
}

func newOracle() *oracle {
	factory := informers.NewSharedInformerFactory(nil, 0) // never started: its stores are filled by hand
	pods := factory.Core().V1().Pods()
	hpas := factory.Autoscaling().V2().HorizontalPodAutoscalers()
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{appsv1.SchemeGroupVersion})
	mapper.Add(appsv1.SchemeGroupVersion.WithKind("Deployment"), meta.RESTScopeNamespace)
	world := &world{}
	ctx := klog.NewContext(context.Background(), logr.Discard())
	// The figures are kube-controller-manager's defaults; the resync only paces a queue that nobody reads.
	controller := podautoscaler.NewHorizontalController(ctx, world, world, world, mapper, world, hpas, pods,
		15*time.Second, 300*time.Second, 0.1, 300*time.Second, 30*time.Second)
	set(controller, "eventRecorder", record.EventRecorder(&record.FakeRecorder{}))
	enqueue(controller, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "hpa", Namespace: namespace}})
	return &oracle{controller, pods.Informer().GetIndexer(), world, ctx}
}

func (o *oracle) decide(asked *Case) Decision {
	hpa := &asked.HPA
	hpa.Name, hpa.Namespace = "hpa", namespace
	defaults.SetDefaults_HorizontalPodAutoscaler(hpa)
	if asked.ScaledToZero != nil {
		status := map[bool]corev1.ConditionStatus{true: corev1.ConditionTrue, false: corev1.ConditionFalse}[*asked.ScaledToZero]
		hpa.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.ScaledToZero, Status: status, Reason: "Before"}}
	}
	o.world.begin(asked)
	o.replacePods(asked.Pods)
	now := time.Now()
	remember(o.controller, "recommendations", "recommendation", asked.Recommendations, now)
	remember(o.controller, "scaleUpEvents", "replicaChange", asked.Ups, now)
	remember(o.controller, "scaleDownEvents", "replicaChange", asked.Downs, now)
	_ = reconcile(o.controller, o.ctx, hpa, key) // its error is in the conditions
	return Decision{
		Replicas:        o.world.scale.Spec.Replicas,
		Reasons:         o.world.reasons,
		Usages:          o.world.usages,
		Recommendations: remembered(o.controller, "recommendations", "recommendation", now),
		Ups:             remembered(o.controller, "scaleUpEvents", "replicaChange", now),
		Downs:           remembered(o.controller, "scaleDownEvents", "replicaChange", now),
	}
}

func (o *oracle) replacePods(pods []Pod) {
	objects := make([]interface{}, 0, len(pods))
	for _, pod := range pods {
		object := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: namespace, Labels: map[string]string{"app": appLabel}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "model", Resources: oneGPU}}},
			Status:     corev1.PodStatus{Phase: corev1.PodPhase(pod.Phase)},
		}
		if pod.Ready {
			object.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		if pod.Terminating {
			object.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}
		objects = append(objects, object)
	}
	if err := o.pods.Replace(objects, ""); err != nil {
		fail(err)
	}
}

func newScale(replicas int32) *autoscalingv1.Scale {
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: "llm", Namespace: namespace},
		Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
		Status:     autoscalingv1.ScaleStatus{Replicas: replicas, Selector: "app=" + appLabel},
	}
}
