package schedule

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/exporter/probe"
)

// cpu is the processor time that we have used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What scheduling costs beside the probes themselves: 10,000 targets that answer
// at once, every 100 ms, against a loop that makes the same calls, each with its
// own time limit.
func BenchmarkScheduler10k(b *testing.B) {
	const targets = 10_000
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		before := cpu(b)
		for range b.N {
			ctx, cancel := context.WithTimeout(b.Context(), time.Second)
			if r := answersAtOnce(ctx); !r.Up {
				b.Fatal(r)
			}
			cancel()
		}
		b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/run")
	})
	b.Run("scheduled", func(b *testing.B) {
		var runs atomic.Int64
		enough := make(chan struct{})
		s := New(Options{Registry: prometheus.NewRegistry()})
		all := checks(targets, 100*time.Millisecond, time.Second, func(int) func(context.Context) probe.Result {
			return func(ctx context.Context) probe.Result {
				if runs.Add(1) == int64(b.N) {
					close(enough)
				}
				return answersAtOnce(ctx)
			}
		})
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		b.ReportAllocs()
		s.Set(all)
		b.ResetTimer()
		before := cpu(b)
		go func() { ended <- s.Run(ctx) }()
		<-enough
		b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/run")
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
}

func answersAtOnce(context.Context) probe.Result { return probe.Result{Up: true} }

// What a reload that changes nothing costs, and a scrape.
func BenchmarkSet10k(b *testing.B) {
	s, all := New(Options{}), checks(10_000, time.Second, time.Second, func(int) func(context.Context) probe.Result { return answersAtOnce })
	b.ReportAllocs()
	for b.Loop() {
		s.Set(all)
	}
}

func BenchmarkStatus10k(b *testing.B) {
	s := New(Options{})
	s.Set(checks(10_000, time.Second, time.Second, func(int) func(context.Context) probe.Result { return answersAtOnce }))
	b.ReportAllocs()
	for b.Loop() {
		if n := len(s.Status()); n != 10_000 {
			b.Fatal(n)
		}
	}
}

// What a target costs in memory, its ten results included.
func BenchmarkMemory10k(b *testing.B) {
	var before, after runtime.MemStats
	for range b.N {
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := New(Options{})
		s.Set(checks(10_000, time.Second, time.Second, func(int) func(context.Context) probe.Result { return answersAtOnce }))
		for i, t := range s.order {
			for range kept {
				t.history.add(0, time.Millisecond, &probe.Result{Up: i%2 == 0, Detail: map[bool]string{false: fmt.Sprint("connect: refused by ", i)}[i%2 == 0]})
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/10_000, "B/target")
		runtime.KeepAlive(s)
	}
}
