package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// A page is one way to ask one exporter.
type page struct {
	url     string
	gzip    bool
	series  string // a line of each server begins with this
	servers int
}

// client makes a connection for each question, and unpacks nothing by itself.
var client = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true, DisableCompression: true, ReadBufferSize: 64 << 10,
}}

// get asks, and returns how long the whole answer took to arrive and its size
// on the wire. It goes to w, which may be nil.
func (p page) get(ctx context.Context, w io.Writer) (time.Duration, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return 0, 0, err
	}
	if p.gzip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "60")
	if w == nil {
		w = io.Discard
	}
	buffer := make([]byte, 64<<10)
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	// Hidden, so that all answers are read in the same way.
	size, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{resp.Body}, buffer)
	took := time.Since(start)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d", p.url, resp.StatusCode)
	}
	return took, size, err
}

// check asks once and makes sure that the answer speaks of all servers. It
// returns the text. What comes later needs only to have about that size.
func (p page) check(ctx context.Context) (text []byte, size int64, err error) {
	var answer bytes.Buffer
	if _, size, err = p.get(ctx, &answer); err != nil {
		return nil, 0, err
	}
	text = answer.Bytes()
	if p.gzip {
		unpacked, err := gzip.NewReader(&answer)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", p.url, err)
		}
		if text, err = io.ReadAll(unpacked); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", p.url, err)
		}
	}
	if got := bytes.Count(text, []byte("\n"+p.series)); got != p.servers {
		return nil, 0, fmt.Errorf("%s: %d servers have %s, want %d", p.url, got, p.series, p.servers)
	}
	return text, size, nil
}

// bareCommand makes this program the bare handler, in a process of its own.
const bareCommand = "bare"

// serveBare sends what a file holds to whoever asks: the least that it costs to
// hand over so many bytes by HTTP from a Go program.
func serveBare(address, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr: address, ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			if r.URL.Path == "/metrics" {
				w.Write(text)
			}
		}),
	}
	return server.ListenAndServe()
}
