package main

import (
	"bufio"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/test/loopback"
)

func TestSeen(t *testing.T) {
	const ms = time.Millisecond
	every := func(n int, lag func(i int) time.Duration) (all []time.Duration) {
		for i := range n {
			all = append(all, time.Duration(i)*time.Second+lag(i))
		}
		return all
	}
	none := func(int) time.Duration { return 0 }
	for name, c := range map[string]struct {
		arrivals map[int][]time.Duration
		want     Seen
	}{
		"nothing came":                         {nil, Seen{}},
		"all in time":                          {map[int][]time.Duration{0: every(5, none), 1: every(5, none)}, Seen{Probes: 10, Targets: 2}},
		"a turn left out isn't late":           {map[int][]time.Duration{0: append(every(3, none), 4*time.Second)}, Seen{Probes: 4, Targets: 1}},
		"the first one late makes it the late": {map[int][]time.Duration{0: {200 * ms, 1000 * ms}}, Seen{Probes: 2, Targets: 1, LagP50: 0.2, LagP99: 0.2}},
		"falling behind shows": {
			map[int][]time.Duration{0: every(101, func(i int) time.Duration { return time.Duration(i) * ms })},
			Seen{Probes: 101, Targets: 1, LagP50: 0.05, LagP99: 0.099},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, seen(c.arrivals, time.Second)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTarget lets Go's own client talk to the server that is written by hand.
func TestTarget(t *testing.T) {
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l := &ledger{}
	l.begin()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := accept(ln, l.answer); err == nil {
			t.Error("accept ended without a reason")
		}
	}()
	for name, client := range map[string]*http.Client{
		"kept connections": {Transport: &http.Transport{MaxIdleConnsPerHost: 1}},
		"new connections":  {Transport: &http.Transport{DisableKeepAlives: true}},
	} {
		for range 3 {
			resp, err := client.Get("http://" + ln.Addr().String() + "/7")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK || len(body) != 64 {
				t.Errorf("%s: status %d, %d bytes, %v", name, resp.StatusCode, len(body), err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
		}
		client.CloseIdleConnections()
	}
	got := l.end(time.Second)
	if got.Probes != 6 || got.Targets != 1 {
		t.Errorf("saw %d probes of %d targets, want 6 of 1", got.Probes, got.Targets)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	<-done
}

func TestSilence(t *testing.T) {
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		keepSilent(there)
	}()
	if _, err := io.WriteString(here, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := here.Close(); err != nil {
		t.Fatal(err)
	}
	<-done // it ends when we give up, and not before
}

const text = `# TYPE sluice_probe_up gauge
sluice_probe_up{probe="bench",target="http://127.0.0.1:2000/0"} 1
sluice_probe_up{probe="bench",target="http://127.0.0.2:2000/1"} 0
sluice_probe_up{probe="bench",target="http://127.0.0.3:3000/2"} 0
# TYPE sluice_probe_failures_total counter
sluice_probe_failures_total{probe="bench",target="http://127.0.0.2:2000/1",reason="timeout"} 3
sluice_probe_failures_total{probe="bench",target="http://127.0.0.3:3000/2",reason="timeout"} 9
# TYPE sluice_probe_lag_seconds histogram
sluice_probe_lag_seconds_bucket{le="0.01"} 50
sluice_probe_lag_seconds_bucket{le="0.1"} 99
sluice_probe_lag_seconds_bucket{le="1"} 100
sluice_probe_lag_seconds_bucket{le="+Inf"} 100
sluice_probe_lag_seconds_sum 1
sluice_probe_lag_seconds_count 100
`

func parse(t *testing.T, text string) snapshot {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	s, err := parser.TextToMetricFamilies(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestVerdicts(t *testing.T) {
	s := parse(t, text)
	for port, want := range map[string]Verdicts{
		"2000": {Up: 1, Down: 1, Unknown: 2, Failures: 3},
		"3000": {Down: 1, Unknown: 3, Failures: 9},
	} {
		if diff := cmp.Diff(want, s.of(port, 4)); diff != "" {
			t.Errorf("port %s: %s", port, diff)
		}
	}
}

func TestLag(t *testing.T) {
	before, after := parse(t, ""), parse(t, text)
	if got, ok := lag(before, after); !ok || got != 0.1 {
		t.Errorf("lag is %v, %v, want 0.1", got, ok)
	}
	if got, ok := lag(after, after); ok {
		t.Errorf("lag is %v where nothing ran", got)
	}
	if got, ok := quantile(map[float64]float64{0.1: 1, math.Inf(1): 100}, 0.99); !ok || !math.IsInf(got, 1) {
		t.Errorf("beyond the last bucket it is %v, %v", got, ok)
	}
}
