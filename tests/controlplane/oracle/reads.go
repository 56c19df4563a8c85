package main

import (
	"strings"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
)

// Text is what is to be read: any number of each kind.
type Text struct {
	Quantities []string    `json:"quantities"`
	Selectors  []Selecting `json:"selectors"`
	Lists      []string    `json:"lists"`
}

// Selecting is a selector and the labels of the objects that it selects from.
type Selecting struct {
	Selector string              `json:"selector"`
	Objects  []map[string]string `json:"objects"`
}

// Readings has one reading of each text; null is a text that was refused.
type Readings struct {
	Quantities []*Quantity `json:"quantities"`
	Selectors  [][]bool    `json:"selectors"`
	Lists      []List      `json:"lists"`
}

// Quantity is what an HPA reads, and the thousandths exactly, rounded away from zero; null beyond an int64.
type Quantity struct {
	Milli int64  `json:"milli"`
	Exact *int64 `json:"exact"`
}

func read(text *Text) Readings {
	readings := Readings{}
	for _, one := range text.Quantities {
		readings.Quantities = append(readings.Quantities, quantity(one))
	}
	for _, one := range text.Selectors {
		readings.Selectors = append(readings.Selectors, selected(one))
	}
	for _, one := range text.Lists {
		readings.Lists = append(readings.Lists, list(one))
	}
	return readings
}

func quantity(text string) *Quantity {
	found, err := resource.ParseQuantity(strings.TrimSpace(text)) // as Quantity.UnmarshalJSON
	if err != nil {
		return nil
	}
	reading := &Quantity{Milli: found.MilliValue()}
	exact := new(inf.Dec).Set(found.AsDec())
	exact.SetScale(exact.Scale() - 3)
	if exact.Round(exact, 0, inf.RoundUp).UnscaledBig().IsInt64() {
		whole := exact.UnscaledBig().Int64()
		reading.Exact = &whole
	}
	return reading
}

func selected(asked Selecting) []bool {
	selector, err := labels.Parse(asked.Selector)
	if err != nil {
		return nil
	}
	matches := make([]bool, 0, len(asked.Objects))
	for _, object := range asked.Objects {
		matches = append(matches, selector.Matches(labels.Set(object)))
	}
	return matches
}
