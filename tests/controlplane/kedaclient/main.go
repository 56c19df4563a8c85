// Command kedaclient asks an external scaler as KEDA does, by KEDA's own client: one ScaledObjectRef as JSON on stdin,
// what each method answered as JSON on stdout. It judges nothing.
//
//	kedaclient ADDRESS [CA CERTIFICATE KEY]
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// roundRobin is how KEDA spreads its calls over the addresses of a name.
const roundRobin = `{"loadBalancingConfig": [{"round_robin":{}}]}`

// Asked is what KEDA knows of a trigger.
type Asked struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Metadata  map[string]string `json:"metadata"`
}

// Told is what one method answered: a figure or an activity, or the status and its words.
type Told struct {
	Metric string   `json:"metric,omitempty"`
	Figure *float64 `json:"figure,omitempty"`
	Whole  *int64   `json:"whole,omitempty"`
	Active *bool    `json:"active,omitempty"`
	Code   string   `json:"code,omitempty"`
	Words  string   `json:"words,omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 1 && len(arguments) != 4 {
		return errors.New("usage: kedaclient ADDRESS [CA CERTIFICATE KEY]")
	}
	var asked Asked
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	transport, err := transportOf(arguments[1:])
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(
		arguments[0], grpc.WithDefaultServiceConfig(roundRobin), grpc.WithTransportCredentials(transport))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return json.NewEncoder(os.Stdout).Encode(ask(ctx, pb.NewExternalScalerClient(connection), asked))
}

func transportOf(files []string) (credentials.TransportCredentials, error) {
	if len(files) == 0 {
		return insecure.NewCredentials(), nil
	}
	authority, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(files[1], files[2])
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return credentials.NewTLS(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}), nil
}

// ask goes through the methods in KEDA's order; the metric's name is the one that the scaler told.
func ask(ctx context.Context, client pb.ExternalScalerClient, asked Asked) map[string]Told {
	reference := &pb.ScaledObjectRef{
		Name: asked.Name, Namespace: asked.Namespace, ScalerMetadata: asked.Metadata}
	found := map[string]Told{}
	specs, err := client.GetMetricSpec(ctx, reference)
	if err != nil {
		found["GetMetricSpec"] = refused(err)
		return found
	}
	spec := specs.MetricSpecs[0]
	found["GetMetricSpec"] = Told{Metric: spec.MetricName, Figure: &spec.TargetSizeFloat, Whole: &spec.TargetSize}
	found["GetMetrics"] = value(client.GetMetrics(
		ctx, &pb.GetMetricsRequest{ScaledObjectRef: reference, MetricName: spec.MetricName}))
	found["IsActive"] = activity(client.IsActive(ctx, reference))
	stream, err := client.StreamIsActive(ctx, reference)
	if err == nil {
		found["StreamIsActive"] = activity(first(ctx, stream))
	}
	pushed, err := client.StreamMetricSpec(ctx, reference)
	if err == nil {
		_, err = pushed.Recv()
	}
	found["StreamMetricSpec"] = refused(err)
	return found
}

// first waits for one message, and no longer than a stream that has nothing to tell deserves.
func first(ctx context.Context, stream pb.ExternalScaler_StreamIsActiveClient) (*pb.IsActiveResponse, error) {
	type heard struct {
		response *pb.IsActiveResponse
		err      error
	}
	came := make(chan heard, 1)
	go func() {
		response, err := stream.Recv()
		came <- heard{response, err}
	}()
	select {
	case one := <-came:
		return one.response, one.err
	case <-time.After(3 * time.Second):
		return nil, errors.New("silent")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func value(response *pb.GetMetricsResponse, err error) Told {
	if err != nil {
		return refused(err)
	}
	one := response.MetricValues[0]
	return Told{Metric: one.MetricName, Figure: &one.MetricValueFloat, Whole: &one.MetricValue}
}

func activity(response *pb.IsActiveResponse, err error) Told {
	if err != nil {
		return refused(err)
	}
	return Told{Active: &response.Result}
}

func refused(err error) Told {
	return Told{Code: status.Code(err).String(), Words: status.Convert(err).Message()}
}
