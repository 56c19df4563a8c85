package main

import (
	"crypto/tls"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// static answers every request with the bytes of a file: the one called as the URL's namespace, or
// `discovery` where the URL has none.
func static(arguments []string) error {
	flags := flag.NewFlagSet("static", flag.ExitOnError)
	address := flags.String("address", ":443", "where to listen")
	certificate := flags.String("tls-cert-file", "", "PEM; plain HTTP without one")
	key := flags.String("tls-private-key-file", "", "PEM")
	folder := flags.String("folder", ".", "one file for each namespace, and `discovery`")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	bodies, err := read(*folder)
	if err != nil {
		return err
	}
	answer := func(writer http.ResponseWriter, request *http.Request) {
		body, known := bodies[namespace(request.URL.Path)]
		if !known {
			http.NotFound(writer, request)
			return
		}
		writer.Header().Set("Content-Type", "application/json")
		writer.Header().Set("Content-Length", strconv.Itoa(len(body)))
		writer.Header().Set("X-Backend", "static")
		_, _ = writer.Write(body)
	}
	server := http.Server{
		Addr:    *address,
		Handler: http.HandlerFunc(answer),
		// HTTP/1.1 and a length, as the adapter answers: the floor is that answer without its work.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	if *certificate == "" {
		return server.ListenAndServe()
	}
	return server.ListenAndServeTLS(*certificate, *key)
}

func namespace(path string) string {
	_, rest, found := strings.Cut(path, "/namespaces/")
	if !found {
		return "discovery"
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

func read(folder string) (map[string][]byte, error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	bodies := map[string][]byte{}
	for _, file := range files {
		if bodies[file.Name()], err = os.ReadFile(filepath.Join(folder, file.Name())); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}
