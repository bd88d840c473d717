package exporter

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
)

// BenchmarkScrape measures one scrape of a real HAProxy with very many servers,
// as ratios to a raw "show stat" of the same HAProxy in the same run: that is
// the least anybody could pay. The CPU time of the raw read is HAProxy's, that
// of the scrape is ours; memory is our peak, and the raw answer's size.
func BenchmarkScrape(b *testing.B) {
	for _, servers := range []int{1_000, 10_000} {
		for _, encoding := range []string{"plain", "gzip"} {
			b.Run(fmt.Sprintf("servers=%d/%s", servers, encoding), func(b *testing.B) { benchmarkScrape(b, servers, encoding) })
		}
	}
}

func benchmarkScrape(b *testing.B, servers int, encoding string) {
	proc := haproxytest.StartReal(b, bulk(servers))
	pid, socket := proc.Pid, proc.Socket
	config := &Config{}
	f, err := fleet.New(fleet.Configs{{Name: "edge1", HAProxy: &fleet.HAProxy{Address: socket}}}, fleet.Options{})
	if err != nil {
		b.Fatal(err)
	}
	e, err := New(Options{Config: config, Fleet: f})
	if err != nil {
		b.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	if encoding == "gzip" {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	metrics := e.Metrics()

	var raw, scrape struct{ wall, cpu time.Duration }
	var size, written int64
	resetPeak(b)
	for b.Loop() {
		before, start := haproxyCPU(b, pid), time.Now()
		size = rawShowStat(b, socket)
		raw.wall += time.Since(start)
		raw.cpu += haproxyCPU(b, pid) - before

		e.generation().devices[0].Close() // forgets the answer, which would be shared
		if err := e.Apply(config, f); err != nil {
			b.Fatal(err)
		}
		out := &discard{header: http.Header{}}
		before, start = ownCPU(b), time.Now()
		metrics.ServeHTTP(out, req)
		scrape.wall += time.Since(start)
		scrape.cpu += ownCPU(b) - before
		if written = out.n; written < size/2 && encoding == "plain" {
			b.Fatalf("the scrape gave %d bytes only", written)
		}
	}
	peak := peakMemory(b)
	b.ReportMetric(float64(scrape.wall)/float64(raw.wall), "wall/raw")
	b.ReportMetric(float64(scrape.cpu)/float64(raw.cpu), "cpu/raw")
	b.ReportMetric(float64(peak)/float64(size), "peak/raw-size")
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
	b.ReportMetric(float64(written)/1e6, "MB")
	b.ReportMetric(float64(scrape.wall.Milliseconds())/float64(b.N), "scrape-ms")
	b.ReportMetric(float64(raw.wall.Milliseconds())/float64(b.N), "raw-ms")
	b.ReportMetric(0, "ns/op") // that of both together says nothing
}

// bulk is a HAProxy with backends of 100 servers each, as in a large
// installation; every server has a check, which runs once.
func bulk(servers int) string {
	var config strings.Builder
	config.WriteString("global\n  nbthread 1\n") // its CPU time is then that of one core
	for i := range servers {
		if i%100 == 0 {
			fmt.Fprintf(&config, "backend pool%03d\n", i/100)
		}
		fmt.Fprintf(&config, "  server app%05d 127.0.0.1:1 check inter 1h\n", i)
	}
	return config.String()
}

// rawShowStat reads a whole "show stat" and returns its size in bytes.
func rawShowStat(b *testing.B, socket string) int64 {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "show stat\n"); err != nil {
		b.Fatal(err)
	}
	n, err := io.Copy(io.Discard, conn)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// A discard is a client that reads everything and keeps nothing.
type discard struct {
	header http.Header
	n      int64
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { d.n += int64(len(p)); return len(p), nil }

// haproxyCPU is the time that the threads of a process have spent on a
// processor: the first number of /proc/PID/task/TID/schedstat, in nanoseconds.
func haproxyCPU(b *testing.B, pid int) (sum time.Duration) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		b.Fatalf("no threads of haproxy: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			b.Fatalf("%s: %v", file, err)
		}
		sum += time.Duration(n)
	}
	return sum
}

func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resetPeak makes the kernel forget the most memory that we ever had; see proc(5), clear_refs.
func resetPeak(b *testing.B) {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
}

// peakMemory is the most resident memory since then, in bytes.
func peakMemory(b *testing.B) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return n << 10
		}
	}
	b.Fatal("/proc/self/status has no VmHWM")
	return 0
}
