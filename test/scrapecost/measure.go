package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
)

// peer is haproxy_exporter's program, as Debian's package calls it.
const peer = "prometheus-haproxy-exporter"

// settle lies between an answer and the look at what it cost: a garbage
// collection that the answer set off is part of that.
const settle = 150 * time.Millisecond

// A take is what one question cost.
type take struct {
	wall, own, haproxy time.Duration // own: CPU of the program that was asked
	bytes              int64
}

// A subject is who is asked, in one way.
type subject struct {
	name    string
	process *rig.Process // nil: HAProxy itself
	pause   time.Duration
	rounds  int // at most
	ask     func(context.Context) (time.Duration, int64, error)
	size    int64 // of an answer that is whole; 0: not known
	takes   []take
	memory  int64 // peak, bytes; 0: not known
}

// A result is what was measured with one number of servers. cut is nil where
// the program under test doesn't cut its answer down.
type result struct {
	servers                      int
	raw, bare, plain, gzip, cut  *subject
	peerPlain, peerGzip, builtin *subject
}

func (r *result) subjects() []*subject {
	all := []*subject{r.raw, r.bare, r.plain, r.gzip, r.cut, r.peerPlain, r.peerGzip, r.builtin}
	return slices.DeleteFunc(all, func(s *subject) bool { return s == nil })
}

func measure(ctx context.Context, o options, servers int) (r *result, err error) {
	b, err := rig.StartBulk(ctx, rig.BulkOptions{Binary: o.binary, Servers: servers, Settings: o.settings})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Stop()) }()
	exporter, exporterURL, err := startPeer(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, exporter.Stop()) }()

	r = &result{servers: servers}
	rounds, peers := o.rounds, 3
	if rounds == 0 {
		rounds = 9
		if servers > 20000 {
			rounds = 7
		}
	}
	if servers > 20000 {
		peers = 2
	}
	if o.quick {
		rounds, peers = 3, 1
	}

	r.raw = &subject{name: `raw "show stat"`, rounds: 3 * rounds, ask: func(ctx context.Context) (time.Duration, int64, error) {
		start := time.Now()
		size, err := b.ReadStat(ctx, io.Discard)
		return time.Since(start), size, err
	}}
	sluice := page{url: b.Exporter.URL + "/metrics", series: "sluice_member_serving{", servers: servers}
	var text []byte
	if r.plain, text, err = newSubject(ctx, "Sluice, plain", b.Exporter.Process, sluice, o.pause, rounds); err != nil {
		return nil, err
	}
	bare, address, err := startBare(ctx, b.Dir, text)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bare.Stop()) }()
	whole := int64(len(text))
	for _, s := range []struct {
		to      **subject
		name    string
		process *rig.Process
		page    page
		pause   time.Duration
		rounds  int
	}{
		{&r.bare, "bare handler, the same bytes", bare, page{url: address, series: sluice.series}, 0, rounds},
		{&r.gzip, "Sluice, gzip", b.Exporter.Process, page{url: sluice.url, gzip: true, series: sluice.series}, o.pause, rounds},
		{&r.cut, "Sluice, cut down", b.Exporter.Process, page{url: sluice.url + "?" + o.cut, series: "haproxy_server_bytes_in_total{"}, o.pause, rounds},
		{&r.peerPlain, "haproxy_exporter, plain", exporter, page{url: exporterURL, series: "haproxy_server_bytes_in_total{"}, 0, peers},
		{&r.peerGzip, "haproxy_exporter, gzip", exporter, page{url: exporterURL, gzip: true, series: "haproxy_server_bytes_in_total{"}, 0, peers},
		{&r.builtin, "HAProxy's own exporter", nil, page{url: b.Builtin, series: "haproxy_server_bytes_in_total{"}, 0, peers},
	} {
		s.page.servers = servers
		if err := wait(ctx, s.pause); err != nil {
			return nil, err
		}
		if *s.to, _, err = newSubject(ctx, s.name, s.process, s.page, s.pause, s.rounds); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if r.cut.size > whole*9/10 {
		fmt.Fprintf(os.Stderr, "scrapecost: the answer to the query of -cut has %d bytes of %d: it is not cut down, and not measured\n", r.cut.size, whole)
		r.cut = nil
	}
	debug.FreeOSMemory() // the texts that were looked through: collecting them must not fall into a round
	if err := r.rounds(ctx, b, rounds); err != nil {
		return nil, err
	}
	if r.plain.memory, err = b.Exporter.PeakMemory(); err != nil {
		return nil, err
	}
	if r.peerPlain.memory, err = exporter.PeakMemory(); err != nil {
		return nil, err
	}
	if median(r.plain.takes, haproxyCPU) < median(r.raw.takes, haproxyCPU)/2 {
		return nil, errors.New("scrapes cost HAProxy less than half of a raw read: they share one; make -pause longer")
	}
	return r, nil
}

// rounds asks all of them in turn, the raw read before each scrape of ours, so
// that what else goes on in the machine hits all alike.
func (r *result) rounds(ctx context.Context, b *rig.Bulk, rounds int) error {
	for range rounds {
		for _, s := range r.subjects()[1:] {
			if len(s.takes) >= s.rounds {
				continue
			}
			if err := wait(ctx, s.pause); err != nil {
				return err
			}
			for _, s := range []*subject{r.raw, s} {
				if err := s.once(ctx, b.HAProxy.Process); err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
			}
		}
	}
	return nil
}

// newSubject asks once, to see that the answer is whole and to warm up.
func newSubject(ctx context.Context, name string, process *rig.Process, p page, pause time.Duration, rounds int) (*subject, []byte, error) {
	text, size, err := p.check(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &subject{
		name: name, process: process, pause: pause, rounds: rounds, size: size,
		ask: func(ctx context.Context) (time.Duration, int64, error) { return p.get(ctx, nil) },
	}, text, nil
}

func (s *subject) once(ctx context.Context, haproxy *rig.Process) error {
	before, err := s.cpu(haproxy)
	if err != nil {
		return err
	}
	var t take
	if t.wall, t.bytes, err = s.ask(ctx); err != nil {
		return err
	}
	if s.size > 0 && (t.bytes < s.size*9/10 || t.bytes > s.size*11/10) {
		return fmt.Errorf("an answer of %d bytes, where a whole one has %d", t.bytes, s.size)
	}
	if err := wait(ctx, settle); err != nil {
		return err
	}
	after, err := s.cpu(haproxy)
	t.own, t.haproxy = after[0]-before[0], after[1]-before[1]
	s.takes = append(s.takes, t)
	return err
}

// cpu returns what the program that is asked has used so far, and HAProxy.
func (s *subject) cpu(haproxy *rig.Process) (both [2]time.Duration, err error) {
	if both[1], err = haproxy.OnCPU(); err == nil && s.process != nil {
		both[0], err = s.process.OnCPU()
	}
	return both, err
}

// startPeer starts haproxy_exporter. Its own time-out of 5 s is too short for it
// from 30,000 servers on.
func startPeer(ctx context.Context, b *rig.Bulk) (*rig.Process, string, error) {
	address, err := loopback.Address()
	if err != nil {
		return nil, "", err
	}
	p, err := rig.NewProgram("haproxy_exporter", b.Dir, peer,
		"--web.listen-address="+address, "--haproxy.scrape-uri=unix:"+b.HAProxy.Socket, "--haproxy.timeout=60s")
	if err != nil {
		return nil, "", err
	}
	err = p.StartWeb(ctx, "http://"+address+"/")
	return p, "http://" + address + "/metrics", err
}

// startBare starts this program again as the bare handler of that text.
func startBare(ctx context.Context, dir string, text []byte) (*rig.Process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	address, err := loopback.Address()
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(dir, "scrape.prom")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, "", err
	}
	p, err := rig.NewProgram("bare", dir, self, bareCommand, address, file)
	if err != nil {
		return nil, "", err
	}
	err = p.StartWeb(ctx, "http://"+address+"/")
	return p, "http://" + address + "/metrics", err
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
