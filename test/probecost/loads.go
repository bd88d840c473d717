package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A load is what the processes beside the program under test have to ask.
type load struct {
	Targets  []string
	Interval time.Duration
	Timeout  time.Duration // of one probe
	Blackbox string        // base of blackbox_exporter's address
	Hung     string        // port of the targets that hang
}

func readLoad(file string) (load, error) {
	var l load
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	return l, err
}

// workers is how many requests the bare loop has under way at most.
const workers = 64

// bareLoop asks all targets in turn, and does with the answers what is least: the
// price of net/http itself, a new connection for each request.
func bareLoop(ctx context.Context, l load) error {
	client := &http.Client{Timeout: l.Timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	due := make(chan string)
	for range workers {
		go func() {
			for target := range due {
				bareAsk(ctx, client, target)
			}
		}()
	}
	n := len(l.Targets)
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for turn := 0; ; turn++ {
		// A fixed phase for each target, spread over the interval.
		at := start.Add(time.Duration(turn/n)*l.Interval + l.Interval*time.Duration(turn%n)/time.Duration(n))
		if d := time.Until(at); d > 0 {
			timer.Reset(d)
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case due <- l.Targets[turn%n]:
		}
	}
}

func bareAsk(ctx context.Context, client *http.Client, target string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return // the targets count what reaches them
	}
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// Scrapes are what a Prometheus got out of blackbox_exporter about targets of
// one kind.
type Scrapes struct {
	Up, Down   int // probe_success 1 and 0
	Unanswered int // scrapes that ran out of their time
	Skipped    int // turns that passed while the one before was under way
}

func (s Scrapes) String() string {
	return fmt.Sprintf("scrapes: %d up, %d down, %d without answer", s.Up, s.Down, s.Unanswered)
}

// Scraped has both kinds.
type Scraped struct {
	Answer, Hang Scrapes // targets that answer, and those that hang
}

// playPrometheus scrapes blackbox_exporter as a Prometheus does: each target at a
// fixed phase of its own, a turn left out while the one before is under way, over
// kept connections. At its end it prints what it got.
func playPrometheus(ctx context.Context, l load) error {
	client := &http.Client{Timeout: l.Interval, Transport: &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: len(l.Targets)}}
	var mu sync.Mutex
	var got Scraped
	count := func(target string, what func(*Scrapes) *int) {
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(target, ":"+l.Hung+"/") {
			*what(&got.Hang)++
			return
		}
		*what(&got.Answer)++
	}
	start := time.Now()
	for i, target := range l.Targets {
		phase := l.Interval * time.Duration(i) / time.Duration(len(l.Targets))
		go func() {
			for turn := time.Duration(0); ctx.Err() == nil; turn++ {
				early := time.Until(start.Add(phase + turn*l.Interval))
				if early < -l.Interval {
					count(target, func(s *Scrapes) *int { return &s.Skipped })
					continue
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(max(early, 0)):
				}
				success, err := scrapeProbe(ctx, client, l, target)
				switch {
				case ctx.Err() != nil: // our own end
				case err != nil:
					count(target, func(s *Scrapes) *int { return &s.Unanswered })
				case success:
					count(target, func(s *Scrapes) *int { return &s.Up })
				default:
					count(target, func(s *Scrapes) *int { return &s.Down })
				}
			}
		}()
	}
	<-ctx.Done()
	mu.Lock()
	defer mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(got)
}

var errNoSuccess = errors.New("no probe_success in the answer")

func scrapeProbe(ctx context.Context, client *http.Client, l load, target string) (bool, error) {
	query := url.Values{"module": {"http_2xx"}, "target": {target}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.Blackbox+"/probe?"+query.Encode(), nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(l.Interval.Seconds(), 'f', -1, 64))
	resp, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	_, value, ok := strings.Cut(string(body), "\nprobe_success ")
	if !ok {
		return false, fmt.Errorf("%w: status %d", errNoSuccess, resp.StatusCode)
	}
	return strings.HasPrefix(value, "1"), nil
}
