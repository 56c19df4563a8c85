package main

import (
	"context"
	"reflect"
	"time"
	"unsafe"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
)

// The controller keeps its memory in unexported fields and its sync in an unexported method. The empty linkname.s
// beside this file is what lets Go declare a function without a body.

//go:linkname reconcile k8s.io/kubernetes/pkg/controller/podautoscaler.(*HorizontalController).reconcileAutoscaler
func reconcile(*podautoscaler.HorizontalController, context.Context, *autoscalingv2.HorizontalPodAutoscaler, string) error

//go:linkname enqueue k8s.io/kubernetes/pkg/controller/podautoscaler.(*HorizontalController).enqueueHPA
func enqueue(*podautoscaler.HorizontalController, interface{})

// field returns a settable view of an unexported field.
func field(of reflect.Value, name string) reflect.Value {
	found := of.FieldByName(name)
	return reflect.NewAt(found.Type(), unsafe.Pointer(found.UnsafeAddr())).Elem()
}

func set(controller *podautoscaler.HorizontalController, name string, value interface{}) {
	field(reflect.ValueOf(controller).Elem(), name).Set(reflect.ValueOf(value))
}

// remember makes the aged figures the controller's whole memory in the map `name`; `figure` is their field.
func remember(controller *podautoscaler.HorizontalController, name, figure string, aged []Aged, now time.Time) {
	memory := field(reflect.ValueOf(controller).Elem(), name)
	entries := reflect.MakeSlice(memory.Type().Elem(), len(aged), len(aged))
	for i, one := range aged {
		entry := entries.Index(i)
		field(entry, figure).SetInt(int64(one.Replicas))
		at := now.Add(-time.Duration(one.AgeSeconds * float64(time.Second)))
		field(entry, "timestamp").Set(reflect.ValueOf(at))
	}
	fresh := reflect.MakeMap(memory.Type())
	if len(aged) > 0 {
		fresh.SetMapIndex(reflect.ValueOf(key), entries)
	}
	memory.Set(fresh)
}

// remembered returns the memory after the sync; what the sync itself added is 0 seconds old.
func remembered(controller *podautoscaler.HorizontalController, name, figure string, now time.Time) []Aged {
	entries := field(reflect.ValueOf(controller).Elem(), name).MapIndex(reflect.ValueOf(key))
	aged := []Aged{}
	if !entries.IsValid() {
		return aged
	}
	for i := 0; i < entries.Len(); i++ {
		entry := entries.Index(i)
		at := field(entry, "timestamp").Interface().(time.Time)
		age := max(0, now.Sub(at).Seconds())
		aged = append(aged, Aged{age, int32(field(entry, figure).Int())})
	}
	return aged
}
