// Command scrapecost measures what one scrape of a HAProxy with very many
// servers costs, and sets it beside the raw "show stat" of the same HAProxy,
// which is the least that anybody could pay.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

// pause lies between two scrapes, so that each has to read the device anew.
const pause = 1200 * time.Millisecond

func main() {
	sizes := flag.String("servers", "1000,10000", "Numbers of servers to measure with.")
	scrapes := flag.Int("scrapes", 10, "Scrapes for each number.")
	binary := flag.String("sluice", "bin/sluice", "The program to measure.")
	flag.Parse()
	if err := measure(*binary, *sizes, *scrapes); err != nil {
		fmt.Fprintln(os.Stderr, "scrapecost:", err)
		os.Exit(1)
	}
}

func measure(binary, sizes string, scrapes int) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	fmt.Println("\nOne scrape as Prometheus makes it (gzip), beside one raw \"show stat\" of the same HAProxy. Wall: median.")
	fmt.Println("CPU of the raw read is HAProxy's; that of the scrape is the exporter's, HAProxy's comes on top of it.")
	fmt.Printf("\n  %8s  %10s %10s %7s  %10s %10s %7s  %9s %10s %7s\n", "servers",
		"raw wall", "scrape", "ratio", "raw CPU", "exporter", "ratio", "raw size", "peak mem", "ratio")
	for size := range strings.SplitSeq(sizes, ",") {
		servers, err := strconv.Atoi(size)
		if err != nil {
			return fmt.Errorf("number of servers: %w", err)
		}
		raw, scrape, err := compare(ctx, binary, servers, scrapes)
		if err != nil {
			return fmt.Errorf("%d servers: %w", servers, err)
		}
		fmt.Printf("  %8d  %7.1f ms %7.1f ms %7.2f  %7.1f ms %7.1f ms %7.2f  %6.2f MB %7.1f MB %7.1f\n", servers,
			ms(raw.wall), ms(scrape.wall), float64(scrape.wall)/float64(raw.wall),
			ms(raw.cpu), ms(scrape.cpu), float64(scrape.cpu)/float64(raw.cpu),
			mb(raw.memory), mb(scrape.memory), float64(scrape.memory)/float64(raw.memory))
	}
	return nil
}

// A cost is what one question takes.
type cost struct {
	wall   time.Duration // median
	cpu    time.Duration // mean
	memory int64         // bytes; of the raw read, the size of the answer
}

func compare(ctx context.Context, binary string, servers, scrapes int) (raw, scrape cost, err error) {
	b, err := rig.StartBulk(ctx, binary, servers)
	if err != nil {
		return raw, scrape, err
	}
	defer func() { err = errors.Join(err, b.Stop()) }()

	// The first one warms both up.
	raw, err = repeat(ctx, b.HAProxy.Process, scrapes, 0, func() (time.Duration, int64, error) {
		start := time.Now()
		answer, err := b.HAProxy.Ask(ctx, "show stat")
		return time.Since(start), int64(len(answer)), err
	})
	if err != nil {
		return raw, scrape, fmt.Errorf("show stat: %w", err)
	}
	scrape, err = repeat(ctx, b.Exporter.Process, scrapes, pause, func() (time.Duration, int64, error) {
		return get(ctx, b.Exporter.URL+"/metrics", servers)
	})
	if err != nil {
		return raw, scrape, fmt.Errorf("scrape: %w", err)
	}
	scrape.memory, err = b.Exporter.PeakMemory()
	return raw, scrape, err
}

// repeat asks once to warm up and then n times, and returns what one time costs
// the program that is asked.
func repeat(ctx context.Context, asked *rig.Process, n int, pause time.Duration, ask func() (time.Duration, int64, error)) (cost, error) {
	var walls []time.Duration
	var c cost
	var before time.Duration
	for i := range n + 1 {
		if err := wait(ctx, pause); err != nil {
			return c, err
		}
		took, size, err := ask()
		if err != nil {
			return c, err
		}
		if i == 0 {
			if before, err = asked.CPU(); err != nil {
				return c, err
			}
			continue
		}
		walls = append(walls, took)
		c.memory = max(c.memory, size)
	}
	after, err := asked.CPU()
	if err != nil {
		return c, err
	}
	slices.Sort(walls)
	c.wall = walls[len(walls)/2]
	c.cpu = (after - before) / time.Duration(n)
	return c, nil
}

// get scrapes, and makes sure that what it got speaks of that many servers. It
// returns how long the answer took to arrive, and its size as text.
func get(ctx context.Context, url string, servers int) (time.Duration, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Accept-Encoding", "gzip") // by hand, so that unpacking isn't timed
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10")
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	took := time.Since(start)
	if err != nil {
		return 0, 0, err
	}
	if resp.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return 0, 0, err
		}
		if body, err = io.ReadAll(unpacked); err != nil {
			return 0, 0, err
		}
	}
	if got := strings.Count(string(body), "\nsluice_member_serving{"); got != servers {
		return 0, 0, fmt.Errorf("%s: status %d, %d servers in the answer, want %d", url, resp.StatusCode, got, servers)
	}
	return took, int64(len(body)), nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }
