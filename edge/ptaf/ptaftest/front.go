package ptaftest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// BackendHeader tells in each answer of a front which backend gave it.
const BackendHeader = "X-Sim-Backend"

// failTimeout is how long failures count and how long they keep a backend out.
// Guess: the API has no field for it, so it is what nginx does by default.
const failTimeout = 10 * time.Second

const connectTimeout = 5 * time.Second // nginx waits 60 seconds by default; no test should

// A front is the data plane of one upstream: an nginx with one worker.
// Source: the vendor describes balancing in nginx's words and has a service
// called waf-nginx. That it goes by nginx's rules to the letter is a guess.
type front struct {
	sim       *Sim
	upstream  string
	transport *http.Transport

	mu      sync.Mutex
	changes int
	known   bool
	pool    pool
}

// A pool is an upstream as the workers know it, with what they counted.
type pool struct {
	peers             []*peer
	ipHash, leastConn bool
	readTimeout       time.Duration
}

// A peer is a backend with nginx's own counters.
type peer struct {
	name, address    string
	weight, maxFails int
	down, backup     bool
	current, likely  int // current and effective weight
	fails, conns     int
	failed, checked  time.Time // of the last failure; of the last try that tests whether it is back
}

// Front returns the data plane of an upstream, given by its id or name: it
// proxies as the device does. Each change to the upstream is in force with the
// next request; guess: the proxy is reloaded, so that failures are forgotten.
func (s *Sim) Front(name string) http.Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.must(name)
	return &front{sim: s, upstream: name, transport: &http.Transport{
		DialContext:        (&net.Dialer{Timeout: connectTimeout}).DialContext,
		DisableKeepAlives:  true, // keepalive isn't played: what an idle connection hides would be luck
		DisableCompression: true,
	}}
}

// ServeHTTP sends a request to one backend after the other until one answers.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body) // nginx too has it whole before it chooses
	if err != nil {
		http.Error(w, "400 Bad Request", http.StatusBadRequest)
		return
	}
	tried, status := map[*peer]bool{}, http.StatusBadGateway
	for {
		p, wait := f.choose(r.RemoteAddr, tried)
		if p == nil {
			http.Error(w, http.StatusText(status), status) // "no live upstreams", or the last failure
			return
		}
		tried[p] = true
		resp, cancel, err := f.send(r, p, body, wait)
		if err == nil {
			err = relay(w, resp, p.name)
			cancel()
			f.done(p, false)
			if err != nil {
				panic(http.ErrAbortHandler) // half an answer is out already; net/http closes the connection
			}
			return
		}
		f.done(p, r.Context().Err() == nil) // a visitor who went away is not the backend's fault
		status = http.StatusBadGateway
		if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
			status = http.StatusGatewayTimeout
		}
		if r.Context().Err() != nil || !passedOn(r.Method, err) {
			http.Error(w, http.StatusText(status), status)
			return
		}
	}
}

// passedOn says whether another backend may get the request. nginx's
// proxy_next_upstream is "error timeout" by default, and a request that isn't
// idempotent goes on only while nothing of it was sent.
func passedOn(method string, err error) bool {
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
		return true
	}
	return method != http.MethodPost && method != http.MethodPatch && method != "LOCK"
}

// hop are the headers that belong to one connection.
var hop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// send returns an answer whose headers are there, or why there is none; wait
// is for the headers. nginx waits as long again for each next piece, this for ever.
func (f *front) send(r *http.Request, p *peer, body []byte, wait time.Duration) (*http.Response, context.CancelFunc, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(wait, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	out := r.Clone(ctx)
	out.URL.Scheme, out.URL.Host = "http", p.address // the upstream has no scheme; the service's upstream_protocol isn't played
	out.RequestURI, out.Close = "", false
	out.Body, out.ContentLength, out.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	for _, name := range hop {
		out.Header.Del(name)
	}
	resp, err := f.transport.RoundTrip(out)
	if err != nil {
		err = cmp.Or(context.Cause(ctx), err)
		cancel(nil)
		return nil, nil, err
	}
	return resp, func() { cancel(nil) }, nil
}

func relay(w http.ResponseWriter, resp *http.Response, name string) error {
	defer resp.Body.Close() // read to its end or given up
	maps.Copy(w.Header(), resp.Header)
	for _, h := range hop {
		w.Header().Del(h)
	}
	w.Header().Set(BackendHeader, name)
	w.WriteHeader(resp.StatusCode)
	_, err := io.Copy(w, resp.Body)
	return err
}

// choose picks a peer that wasn't tried yet and counts a connection to it; nil
// when none is left.
func (f *front) choose(client string, tried map[*peer]bool) (*peer, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reload()
	now := time.Now()
	p := f.pool.pick(client, now, tried)
	if p == nil {
		return nil, 0
	}
	if now.Sub(p.checked) > failTimeout {
		p.checked = now
	}
	p.conns++
	return p, f.pool.readTimeout
}

// done counts how it went. Source: nginx, ngx_http_upstream_free_round_robin_peer.
func (f *front) done(p *peer, failed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.conns--
	if failed {
		p.fails++
		p.failed, p.checked = time.Now(), time.Now()
		if p.maxFails > 0 {
			p.likely = max(0, p.likely-p.weight/p.maxFails)
		}
	} else if p.failed.Before(p.checked) {
		p.fails = 0
	}
}

// reload takes over the upstream as it is now, if it changed.
func (f *front) reload() {
	f.sim.mu.Lock()
	defer f.sim.mu.Unlock()
	u := f.sim.find(f.upstream)
	if u == nil {
		f.pool, f.known = pool{}, false
		return
	}
	if f.known && f.changes == u.changes {
		return
	}
	f.known, f.changes = true, u.changes
	f.pool = pool{
		ipHash: is(u.fields, "ip_hash"), leastConn: is(u.fields, "least_conn"),
		readTimeout: time.Duration(number(u.fields, "read_timeout", 60)) * time.Second,
	}
	names := identities(u.backends)
	for i, b := range u.backends {
		weight := number(b, "weight", 1)
		f.pool.peers = append(f.pool.peers, &peer{
			name: names[i], address: identities([]object{b})[0],
			weight: weight, likely: weight,
			maxFails: number(b, "max_fails", 1), // source: 1 by default, 0 turns the counting off
			down:     is(b, "down"), backup: is(b, "backup"),
		})
	}
}

// pick takes a normal peer, and a backup only when no normal one is left.
func (l *pool) pick(client string, now time.Time, tried map[*peer]bool) *peer {
	var normal, backup []*peer
	for _, p := range l.peers {
		if p.backup {
			backup = append(backup, p)
		} else {
			normal = append(normal, p)
		}
	}
	free := func(p *peer) bool {
		// Of a single peer nginx doesn't count failures: it has nowhere else to go.
		out := p.maxFails > 0 && p.fails >= p.maxFails && now.Sub(p.checked) <= failTimeout && len(l.peers) > 1
		return !p.down && !tried[p] && !out
	}
	// nginx refuses backup together with ip_hash; guess: here it is as without.
	if l.ipHash {
		if p := hashed(normal, client, free); p != nil {
			return p
		}
	}
	for _, peers := range [][]*peer{normal, backup} {
		peers = slices.DeleteFunc(peers, func(p *peer) bool { return !free(p) })
		if l.leastConn {
			peers = leastBusy(peers)
		}
		if p := roundRobin(peers); p != nil {
			return p
		}
	}
	return nil
}

// roundRobin is nginx's smooth one: of weights 5, 1, 1 it makes a a b a c a a.
// Source: nginx, ngx_http_upstream_get_peer.
func roundRobin(peers []*peer) *peer {
	var best *peer
	total := 0
	for _, p := range peers {
		p.current += p.likely
		total += p.likely
		if p.likely < p.weight {
			p.likely++
		}
		if best == nil || p.current > best.current {
			best = p
		}
	}
	if best != nil {
		best.current -= total
	}
	return best
}

// leastBusy leaves those with the fewest connections for their weight.
func leastBusy(peers []*peer) []*peer {
	if len(peers) == 0 {
		return nil
	}
	less := func(a, b *peer) int { return cmp.Compare(a.conns*b.weight, b.conns*a.weight) }
	best := slices.MinFunc(peers, less)
	return slices.DeleteFunc(peers, func(p *peer) bool { return less(best, p) < 0 })
}

// hashed sends a client to where it always goes. Those that are down keep their
// place in the sum of weights, so that nobody else moves when one goes out.
// Source: nginx, ngx_http_upstream_get_ip_hash_peer: three octets of IPv4, all
// of IPv6, and twenty tries.
func hashed(peers []*peer, client string, free func(*peer) bool) *peer {
	host, _, err := net.SplitHostPort(client)
	if err != nil {
		host = client
	}
	key := []byte(net.ParseIP(host))
	if v4 := net.IP(key).To4(); v4 != nil {
		key = v4[:3]
	}
	total := 0
	for _, p := range peers {
		total += p.weight
	}
	if total == 0 {
		return nil
	}
	hash := 89
	for range 20 {
		for _, b := range key {
			hash = (hash*113 + int(b)) % 6271
		}
		left := hash % total
		for _, p := range peers {
			if left -= p.weight; left >= 0 {
				continue
			}
			if free(p) {
				return p
			}
			break
		}
	}
	return nil
}
