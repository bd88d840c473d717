package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Targets spread over the addresses 127.0.0.1 to 127.0.0.100, so that the ports
// of closed connections, which the kernel keeps for a minute, never run short.
const addresses = 100

// targetURL is where target n answers.
func targetURL(n int, port string) string {
	return fmt.Sprintf("http://127.0.0.%d:%s/%d", 1+n%addresses, port, n)
}

// A ledger keeps what came to the targets, and when.
type ledger struct {
	mu       sync.Mutex
	from     time.Time
	arrivals map[int][]time.Duration // by target, since from; nil: nobody records
}

// Seen is what came to the targets in one stretch of time.
type Seen struct {
	Seconds float64
	Probes  int
	Targets int     // that were asked at all
	LagP50  float64 // seconds that a request came later than its place in time
	LagP99  float64
}

// serveTargets is the process that all targets live in. Those at the port answer;
// those at hung take the connection and say nothing. What it costs is not
// counted, so it is written by hand: what it leaves free, the probers have.
func serveTargets(port, hung, control string) error {
	l := &ledger{}
	failed := make(chan error, 1)
	fail := func(err error) {
		select {
		case failed <- err:
		default: // the first one is enough
		}
	}
	for i := range addresses {
		for p, handle := range map[string]func(net.Conn){port: l.answer, hung: keepSilent} {
			ln, err := net.Listen("tcp4", net.JoinHostPort(fmt.Sprintf("127.0.0.%d", 1+i), p))
			if err != nil {
				return err
			}
			go func() { fail(accept(ln, handle)) }()
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /begin", func(http.ResponseWriter, *http.Request) { l.begin() })
	mux.HandleFunc("POST /end", func(w http.ResponseWriter, r *http.Request) {
		interval, err := time.ParseDuration(r.FormValue("interval"))
		if err != nil || interval <= 0 {
			http.Error(w, "interval: want a duration above 0", http.StatusBadRequest)
			return
		}
		if err := json.NewEncoder(w).Encode(l.end(interval)); err != nil {
			fail(err)
		}
	})
	server := &http.Server{Addr: control, Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { fail(server.ListenAndServe()) }()
	return <-failed
}

func accept(ln net.Listener, handle func(net.Conn)) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go handle(conn)
	}
}

// keepSilent holds the connection until the other side gives it up.
func keepSilent(conn net.Conn) {
	defer conn.Close()
	_, _ = io.Copy(io.Discard, conn) // how it ended doesn't matter
}

var answerText = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n\r\n" +
	"ok: this page is as long as a short health page is, no more....\n")

var buffers = sync.Pool{New: func() any { return new([4096]byte) }}

// answer answers until the client wants no more.
func (l *ledger) answer(conn net.Conn) {
	defer conn.Close()
	buffer, _ := buffers.Get().(*[4096]byte) // we put nothing else there
	defer buffers.Put(buffer)
	for {
		request, err := readRequest(conn, buffer[:])
		if err != nil {
			return // it went away, or isn't HTTP
		}
		l.note(request)
		if _, err := conn.Write(answerText); err != nil || bytes.Contains(request, []byte("Connection: close")) {
			return
		}
	}
}

// readRequest reads the head of a request without a body.
func readRequest(conn net.Conn, buffer []byte) ([]byte, error) {
	n := 0
	for {
		more, err := conn.Read(buffer[n:])
		n += more
		if bytes.HasSuffix(buffer[:n], []byte("\r\n\r\n")) {
			return buffer[:n], nil
		}
		if err != nil {
			return nil, err
		}
		if n == len(buffer) {
			return nil, errors.New("the request's head is too long")
		}
	}
}

// note enters a request: its path is the target's number.
func (l *ledger) note(request []byte) {
	now := time.Now()
	_, path, _ := bytes.Cut(request, []byte(" /"))
	number, _, _ := bytes.Cut(path, []byte(" "))
	n, err := strconv.Atoi(string(number))
	if err != nil {
		return // somebody else's
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.arrivals != nil {
		l.arrivals[n] = append(l.arrivals[n], now.Sub(l.from))
	}
}

func (l *ledger) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from, l.arrivals = time.Now(), make(map[int][]time.Duration)
}

func (l *ledger) end(interval time.Duration) Seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := seen(l.arrivals, interval)
	s.Seconds = time.Since(l.from).Seconds()
	l.arrivals = nil
	return s
}

// seen judges arrivals from outside: each target's requests should lie one
// interval apart. How late one is counts from the earliest of its own target, so
// what all of them have in common doesn't show; the rate does.
func seen(arrivals map[int][]time.Duration, interval time.Duration) Seen {
	s := Seen{Targets: len(arrivals)}
	var lags []time.Duration
	for _, of := range arrivals {
		s.Probes += len(of)
		places := make([]time.Duration, len(of))
		for i, at := range of {
			turn := math.Round(float64(at-of[0]) / float64(interval))
			places[i] = at - time.Duration(turn)*interval
		}
		earliest := slices.Min(places)
		for _, place := range places {
			lags = append(lags, place-earliest)
		}
	}
	slices.Sort(lags)
	if len(lags) > 0 {
		s.LagP50 = lags[len(lags)/2].Seconds()
		s.LagP99 = lags[len(lags)*99/100].Seconds()
	}
	return s
}
