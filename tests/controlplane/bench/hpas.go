package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// rhythm is many HPAs, each of which asks for all metrics once a period, one after the other as the
// controller does. Each begins at a random moment and belongs to one of the namespaces in turn.
type rhythm struct {
	base        string
	selector    string
	metrics     []string
	hpas        int
	namespaces  int
	connections int
	period      time.Duration
	seconds     float64
}

func hpas(arguments []string) error {
	var r rhythm
	flags := flag.NewFlagSet("hpas", flag.ExitOnError)
	flags.StringVar(&r.base, "base", "", "http://HOST:PORT")
	flags.StringVar(&r.selector, "selector", "", "labels of the pods")
	metrics := flags.String("metrics", "", "names, with commas between")
	flags.IntVar(&r.hpas, "hpas", 1, "so many")
	flags.IntVar(&r.namespaces, "namespaces", 1, "team-0000 and on")
	flags.IntVar(&r.connections, "connections", 100, "at most")
	flags.DurationVar(&r.period, "period", 15*time.Second, "of an HPA")
	flags.Float64Var(&r.seconds, "seconds", 60, "how long")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	r.metrics = strings.Split(*metrics, ",")
	return json.NewEncoder(os.Stdout).Encode(r.run())
}

func (r rhythm) run() report {
	p := plan{connections: r.connections}
	client := p.client()
	var asking sync.WaitGroup
	var lock sync.Mutex
	total := report{Latencies: []float64{}}
	began := time.Now()
	end := began.Add(time.Duration(r.seconds * float64(time.Second)))
	for number := range r.hpas {
		first := began.Add(time.Duration(rand.Float64() * float64(r.period)))
		asking.Go(func() {
			found := r.follow(client, number, first, end)
			lock.Lock()
			defer lock.Unlock()
			total.add(found)
		})
	}
	asking.Wait()
	total.Seconds = time.Since(began).Seconds()
	return total
}

// follow waits for no answer of another HPA, and a sync's first request counts from the moment it
// was due: a queue in front of the server is in its time.
func (r rhythm) follow(client *http.Client, number int, due, end time.Time) report {
	var found report
	for ; due.Before(end); due = due.Add(r.period) {
		time.Sleep(time.Until(due))
		asked := due
		for _, metric := range r.metrics {
			size, err := plan{url: r.url(number, metric)}.ask(client, 0)
			if err != nil {
				found.Failures++
				found.Failure = err.Error()
			} else {
				found.Latencies = append(found.Latencies, time.Since(asked).Seconds())
				found.Bytes = size
			}
			asked = time.Now()
		}
	}
	return found
}

func (r rhythm) url(number int, metric string) string {
	return fmt.Sprintf("%s/apis/custom.metrics.k8s.io/v1beta2/namespaces/team-%04d/pods/*/%s?labelSelector=%s",
		r.base, number%r.namespaces, metric, url.QueryEscape(r.selector))
}
