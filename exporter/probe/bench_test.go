package probe_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/test/loopback"
)

// serveForBench, in the environment, makes this program the server of [BenchmarkProbe]:
// in a process of its own, its CPU is not counted.
const serveForBench = "SLUICE_PROBE_BENCH_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serveForBench) == "" {
		net.DefaultResolver = nobodyKnows
		os.Exit(m.Run())
	}
	if err := serveBench(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serveBench answers until its input ends.
func serveBench() error {
	ln, err := loopback.Listen()
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }() // the client has its answer
				in := make([]byte, 4<<10)
				for {
					n, err := conn.Read(in)
					if err != nil {
						return
					}
					if _, err := io.WriteString(conn, benchAnswer); err != nil || bytes.Contains(in[:n], []byte("Connection: close")) {
						return
					}
				}
			}()
		}
	}()
	fmt.Println(ln.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

const benchAnswer = "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n\r\n" +
	"fine fine fine fine fine fine fine fine fine fine fine fine fine"

// BenchmarkProbe compares one probe with the loops that it could be, in turns in
// one run, in CPU of this process (user and system).
func BenchmarkProbe(b *testing.B) {
	server := exec.CommandContext(context.WithoutCancel(b.Context()), os.Args[0]) // it ends with its input
	server.Env = append(os.Environ(), serveForBench+"=yes")
	server.Stderr = os.Stderr
	stop, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := stop.Close(); err != nil {
			b.Error(err)
		}
		if err := server.Wait(); err != nil {
			b.Error(err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	at := strings.TrimSpace(line)
	ways := []*way{
		{name: "net/http", ask: plainLoop(at)},
		{name: "bare", ask: bareLoop(at)},
		{name: "probe", ask: proberLoop(b, "{prober: http}", at)},
		{name: "kept", ask: proberLoop(b, "{prober: http, http: {keep_connections: true}}", at)},
	}
	asked := 0
	for b.Loop() {
		for _, w := range ways {
			w.batch(b)
		}
		asked += workers * each
	}
	for _, w := range ways {
		b.ReportMetric(float64(w.cpu.Microseconds())/float64(asked), "µs-"+w.name)
	}
	net, bare, ours, kept := ways[0], ways[1], ways[2], ways[3]
	b.ReportMetric(float64(ours.cpu)/float64(bare.cpu), "x-bare")
	b.ReportMetric(float64(ours.cpu)/float64(net.cpu), "x-net/http")
	b.ReportMetric(float64(kept.cpu)/float64(bare.cpu), "kept-x-bare")
}

const (
	workers = 16
	each    = 64
)

// A way is one way to ask.
type way struct {
	name string
	ask  func() error
	cpu  time.Duration
}

func (w *way) batch(b *testing.B) {
	b.Helper()
	begun := cpu(b)
	var all sync.WaitGroup
	failed := make(chan error, workers)
	for range workers {
		all.Go(func() {
			for range each {
				if err := w.ask(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	w.cpu += cpu(b) - begun
	select {
	case err := <-failed:
		b.Fatal(w.name, err)
	default:
	}
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// proberLoop is what the exporter does.
func proberLoop(b *testing.B, text, at string) func() error {
	b.Helper()
	p, err := probe.New(module(b, text))
	if err != nil {
		b.Fatal(err)
	}
	if c, ok := p.(io.Closer); ok {
		b.Cleanup(func() { _ = c.Close() }) // it has no error to tell
	}
	return func() error {
		if r := p.Probe(b.Context(), "http://"+at+"/health"); !r.Up {
			return fmt.Errorf("%s: %s", r.Reason, r.Detail)
		}
		return nil
	}
}

// plainLoop is net/http as it comes, with a timeout and a new connection each.
func plainLoop(at string) func() error {
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	return func() error {
		res, err := plain.Get("http://" + at + "/health")
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close() // all of it was read
		return err
	}
}

// bareLoop is the least that can be done: it judges nothing and knows how long
// the answer is.
func bareLoop(at string) func() error {
	request := []byte("GET /health HTTP/1.1\r\nHost: " + at + "\r\nConnection: close\r\n\r\n")
	buffers := sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}
	return func() error {
		conn, err := net.DialTimeout("tcp", at, 5*time.Second)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }() // all of it was read
		if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		if _, err := conn.Write(request); err != nil {
			return err
		}
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		_, err = io.ReadFull(conn, (*buf)[:len(benchAnswer)])
		return err
	}
}
