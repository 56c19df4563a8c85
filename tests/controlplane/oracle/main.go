// Command oracle answers what Kubernetes' own code makes of a case: one case per line of JSON on stdin, one answer per
// line on stdout. `oracle` says what the HorizontalPodAutoscaler controller would do in one sync, `oracle reads` what
// quantities, selectors and lists of metrics are read as. It judges nothing.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// Case is one sync: the autoscaler, what the controller remembers of it, the pods, and what the metrics API says.
type Case struct {
	HPA             autoscalingv2.HorizontalPodAutoscaler `json:"hpa"`
	Current         int32                                 `json:"current"`
	Pods            []Pod                                 `json:"pods"`
	Answers         map[string]Answer                     `json:"answers"`
	Recommendations []Aged                                `json:"recommendations"`
	Ups             []Aged                                `json:"ups"`
	Downs           []Aged                                `json:"downs"`
	// The status' condition ScaledToZero as the last sync left it; without it there is none.
	ScaledToZero *bool `json:"scaled_to_zero"`
}

// Pod is what the calculator looks at.
type Pod struct {
	Name        string `json:"name"`
	Phase       string `json:"phase"`
	Terminating bool   `json:"terminating"`
	Ready       bool   `json:"ready"`
}

// Answer is a metric's values in thousandths by pod, its total in thousandths, or its error.
type Answer struct {
	Values map[string]int64 `json:"values"`
	Total  int64            `json:"total"`
	Error  string           `json:"error"`
}

// Aged is a figure and how many seconds ago it was remembered.
type Aged struct {
	AgeSeconds float64 `json:"age_seconds"`
	Replicas   int32   `json:"replicas"`
}

// Decision is what came of the sync; a condition that was not set has no reason.
type Decision struct {
	Replicas        int32             `json:"replicas"`
	Reasons         map[string]string `json:"reasons"`
	Usages          map[string]int64  `json:"usages"` // the averages that the status shows, in thousandths
	Recommendations []Aged            `json:"recommendations"`
	Ups             []Aged            `json:"ups"`
	Downs           []Aged            `json:"downs"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "reads" {
		answer(read)
		return
	}
	answer(newOracle().decide)
}

// answer answers every line before it takes the next: whoever asks may wait for it.
func answer[Asked, Answered any](of func(*Asked) Answered) {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		asked := new(Asked)
		if err := json.Unmarshal(lines.Bytes(), asked); err != nil {
			fail(err)
		}
		if err := out.Encode(of(asked)); err != nil {
			fail(err)
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}
