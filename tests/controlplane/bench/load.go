package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

type plan struct {
	url         string
	token       string
	connections int
	warm        int
	least       int
	seconds     float64
	most        float64
	unique      bool
}

type report struct {
	Latencies []float64 `json:"latencies_seconds"`
	Seconds   float64   `json:"seconds"`
	Failures  int       `json:"failures"`
	Failure   string    `json:"failure"`
	Bytes     int64     `json:"bytes"`
}

func load(arguments []string) error {
	var p plan
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	flags.StringVar(&p.url, "url", "", "what to ask for")
	flags.StringVar(&p.token, "token", "", "bearer token")
	flags.IntVar(&p.connections, "connections", 1, "each asks again when it has its answer")
	flags.IntVar(&p.warm, "warm", 5, "requests of each connection that do not count")
	flags.IntVar(&p.least, "least", 20, "requests at least")
	flags.Float64Var(&p.seconds, "seconds", 2, "time at least")
	flags.Float64Var(&p.most, "most", 30, "time at most")
	flags.BoolVar(&p.unique, "unique", false, "make every URL another one, which nobody has cached")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(p.run())
}

func (p plan) run() report {
	client := p.client()
	var warming, asking sync.WaitGroup
	var lock sync.Mutex
	total := report{Latencies: []float64{}}
	begin := make(chan time.Time)
	for number := range p.connections {
		warming.Add(1)
		asking.Add(1)
		go func() {
			defer asking.Done()
			for turn := range p.warm {
				p.ask(client, -(number*p.warm + turn + 1))
			}
			warming.Done()
			found := p.follow(client, number, <-begin)
			lock.Lock()
			defer lock.Unlock()
			total.add(found)
		}()
	}
	warming.Wait()
	began := time.Now()
	for range p.connections {
		begin <- began
	}
	asking.Wait()
	total.Seconds = time.Since(began).Seconds()
	return total
}

// follow asks on one connection until both minima are met, or the time is up.
func (p plan) follow(client *http.Client, number int, began time.Time) report {
	var found report
	least := (p.least + p.connections - 1) / p.connections
	for turn := 0; ; turn++ {
		spent := time.Since(began).Seconds()
		if spent >= p.most || (spent >= p.seconds && turn >= least) {
			return found
		}
		asked := time.Now()
		size, err := p.ask(client, number<<32+turn)
		if err != nil {
			found.Failures++
			found.Failure = err.Error()
			continue
		}
		found.Latencies = append(found.Latencies, time.Since(asked).Seconds())
		found.Bytes = size
	}
}

func (p plan) ask(client *http.Client, turn int) (int64, error) {
	url := p.url
	if p.unique {
		join := "?"
		if strings.Contains(url, "?") {
			join = "&"
		}
		url = fmt.Sprintf("%s%sturn=%d", url, join, turn)
	}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Accept", "application/json")
	if p.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.token)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	size, err := io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return size, err
}

// client keeps one connection for each asker, HTTP/1.1 to everybody. It takes gzip as Go's clients,
// the HPA controller's among them, always do.
func (p plan) client() *http.Client {
	return &http.Client{
		Timeout: 60 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
			TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
			MaxConnsPerHost:     p.connections,
			MaxIdleConnsPerHost: p.connections,
		},
	}
}

func (r *report) add(other report) {
	r.Latencies = append(r.Latencies, other.Latencies...)
	r.Failures += other.Failures
	if other.Failure != "" {
		r.Failure = other.Failure
	}
	r.Bytes = max(r.Bytes, other.Bytes)
}
