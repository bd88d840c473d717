package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-project/sluice/test/crash/scene"
	"github.com/sluice-project/sluice/test/rig"
)

// drainedWithin is how long the member that really fails may wait in a flood.
const drainedWithin = 60 * time.Second

// flood sends messages of so many alerts each, all at once, each from a
// connection of its own, and again as Alertmanager does while the answer is 5xx.
// When all are durable, app1 fails and is claimed.
func (s settings) flood(ctx context.Context, name string, messages, alerts int) (row, error) {
	var r row
	err := s.on(ctx, scene.Options{}, func(sc *scene.Scene) error {
		bodies, err := bodies(sc, messages, alerts)
		if err != nil {
			return err
		}
		answers := map[int]int{}
		begin := time.Now()
		var mu sync.Mutex
		g, sending := errgroup.WithContext(ctx)
		for _, body := range bodies {
			g.Go(func() error {
				return deliver(sending, sc.URL+"/webhook", body, func(status int) {
					mu.Lock()
					answers[status]++
					mu.Unlock()
				})
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		durable := time.Since(begin)
		waited, err := failsMeanwhile(ctx, sc)
		if err != nil {
			return err
		}
		judged, took, err := s.judged(ctx, sc, begin, messages*alerts)
		if err != nil {
			return err
		}
		peak, err := peakMemory(sc.Remediator.Pid())
		if err != nil {
			return err
		}
		r = row{name, counts(answers), seconds(durable), peak, fmt.Sprintf("%.0f of %d", judged, messages*alerts), fmt.Sprintf("%.0f", judged/took.Seconds()), waited}
		return nil
	})
	return r, err
}

// bodies are messages about members that aren't there, each another one. By name
// they come before the members that are.
func bodies(sc *scene.Scene, messages, alerts int) (all [][]byte, err error) {
	for m := range messages {
		names := make([]string, alerts)
		for a := range names {
			names[a] = fmt.Sprintf("absent-%05d", m*alerts+a)
		}
		body, err := sc.Message(true, names...)
		if err != nil {
			return nil, err
		}
		all = append(all, body)
	}
	return all, nil
}

// once has no keep-alive and no limit: each message has a connection of its own.
var once = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// deliveredWithin is how long a message is sent again: Alertmanager gives up at
// the end of a group_interval.
const deliveredWithin = 30 * time.Second

// deliver sends a message until it is answered with something else than 5xx, as
// Alertmanager does. Source: alertmanager notify/util.go, Retrier.Check; the
// backoff is that of notify/notify.go: from half a second on, each half as long
// again, with chance.
func deliver(ctx context.Context, url string, body []byte, answered func(int)) error {
	begin := time.Now()
	for wait := 500 * time.Millisecond; ; wait += wait / 2 {
		status, err := post(ctx, url, body)
		answered(status)
		if err == nil && status/100 != 5 || time.Since(begin) > deliveredWithin {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

func post(ctx context.Context, url string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := once.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// failsMeanwhile lets app1 fail and says how long it waits.
func failsMeanwhile(ctx context.Context, sc *scene.Scene) (string, error) {
	if err := sc.Member("app1").Set(rig.Refuse); err != nil {
		return "", err
	}
	body, err := sc.Message(true, "app1")
	if err != nil {
		return "", err
	}
	begin := time.Now()
	status, err := post(ctx, sc.URL+"/webhook", body)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return fmt.Sprintf("its webhook got %d", status), nil
	}
	_, held, err := verified(ctx, sc, "app1", drainedWithin)
	if err != nil {
		return "not in " + drainedWithin.String(), ctx.Err() // that is a figure, too
	}
	return seconds(held.Sub(begin)), nil
}

// judged counts decisions until each alert had one, or the time for that is over.
func (s settings) judged(ctx context.Context, sc *scene.Scene, begin time.Time, alerts int) (n float64, took time.Duration, err error) {
	for {
		n = 0
		for _, metric := range []string{"sluice_remediation_refusals_total", "sluice_remediation_steps_total"} {
			some, _, err := rig.Value(ctx, sc.URL, metric, nil)
			if err != nil {
				return 0, 0, err
			}
			n += some
		}
		took = time.Since(begin)
		if n >= float64(alerts) || took > s.judging {
			return n, took, nil
		}
		select {
		case <-ctx.Done():
			return n, took, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// peakMemory is the most that the process ever had in memory. Source: proc(5),
// /proc/pid/status, VmHWM.
func peakMemory(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		var kb int
		if n, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil && n == 1 {
			return fmt.Sprintf("%d MiB", kb>>10), nil
		}
	}
	return "", errors.New("no VmHWM in /proc/pid/status")
}

// counts names each answer and how often it came; 0 stands for none at all.
func counts(answers map[int]int) string {
	var out []string
	for _, status := range slices.Sorted(maps.Keys(answers)) {
		name := fmt.Sprint(status)
		if status == 0 {
			name = "none"
		}
		out = append(out, fmt.Sprintf("%d x %s", answers[status], name))
	}
	return strings.Join(out, ", ")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
