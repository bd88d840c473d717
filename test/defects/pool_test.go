package defects

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/test/serve"
)

const (
	healthPath = "/health"
	slowPath   = "/slow"
)

// A member is a server of its own on the loopback interface. Its health page
// answers as the test says; everybody else it serves.
type member struct {
	address string // 127.0.0.1:port

	mu      sync.Mutex
	health  http.HandlerFunc
	cert    *tls.Certificate // nil: the handshake breaks off
	asked   int              // for its health
	served  int              // other requests
	waiting int              // requests on the slow page, under way
	release chan struct{}    // closed: the slow page answers
}

func newMember(t *testing.T) *member {
	t.Helper()
	m := &member{health: well, release: make(chan struct{})}
	m.address = serve.Handler(t, m, nil)
	return m
}

// newTLSMember is one that speaks TLS and shows that certificate.
func newTLSMember(t *testing.T, cert tls.Certificate) *member {
	t.Helper()
	m := &member{health: well, cert: &cert, release: make(chan struct{})}
	m.address = serve.Handler(t, m, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.cert == nil {
			return nil, errors.New("no certificate")
		}
		return m.cert, nil
	}})
	return m
}

// ServeHTTP is http.Handler's.
func (m *member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	health := m.health
	switch r.URL.Path {
	case healthPath:
		m.asked++
	case slowPath:
		m.waiting++
	default:
		m.served++
	}
	m.mu.Unlock()
	switch r.URL.Path {
	case healthPath:
		health(w, r)
	case slowPath:
		select {
		case <-m.release:
		case <-r.Context().Done():
		}
	}
}

func (m *member) be(health http.HandlerFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.health = health
}

func (m *member) show(cert *tls.Certificate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cert = cert
}

// counts says how often its health was asked for, how many others it has served,
// and how many wait on the slow page.
func (m *member) counts() (asked, served, waiting int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked, m.served, m.waiting
}

// askedAgain waits until its health was asked for so many times more: time
// enough for a step that must not come.
func (m *member) askedAgain(t *testing.T, times int) {
	t.Helper()
	was, _, _ := m.counts()
	await(t, m.address+" to be asked again", func() bool {
		asked, _, _ := m.counts()
		return asked >= was+times
	})
}

// The ways in which a health page answers.

func well(http.ResponseWriter, *http.Request) {}

func sick(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "out of order", http.StatusServiceUnavailable)
}

func hang(_ http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler) // no answer, not even a late one
}

// reset ends the connection with RST.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	if tcp, ok := conn.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			panic(err)
		}
	}
}

// A pool is an upstream of a simulated PTAF with members that are there.
type pool struct {
	*ptaftest.Sim
	members []*member
}

func newMembers(t *testing.T, n int) (out []*member) {
	t.Helper()
	for range n {
		out = append(out, newMember(t))
	}
	return out
}

// newPool is a PTAF with the one upstream [shop].
func newPool(t *testing.T, members ...*member) *pool {
	t.Helper()
	return &pool{ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{upstream(t, shop, members...)}}), members}
}

func upstream(t *testing.T, name string, members ...*member) ptaftest.Upstream {
	t.Helper()
	u := ptaftest.Upstream{Name: name}
	for _, m := range members {
		host, port, err := net.SplitHostPort(m.address)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		u.Backends = append(u.Backends, ptaftest.Backend{Address: host, Port: n})
	}
	return u
}

// down lists the members that an upstream has DOWN, by the PTAF's own word.
func down(t *testing.T, sim *ptaftest.Sim, pool string) (out []string) {
	t.Helper()
	var o struct {
		Backends []struct {
			Address string
			Port    int
			Down    bool
		}
	}
	if err := json.Unmarshal(sim.Object(pool), &o); err != nil {
		t.Fatal(err)
	}
	for _, b := range o.Backends {
		if b.Down {
			out = append(out, net.JoinHostPort(b.Address, strconv.Itoa(b.Port)))
		}
	}
	slices.Sort(out)
	return out
}

func addresses(members ...*member) (out []string) {
	for _, m := range members {
		out = append(out, m.address)
	}
	slices.Sort(out)
	return out
}

// becomes waits until exactly those members are DOWN.
func (p *pool) becomes(t *testing.T, members ...*member) {
	t.Helper()
	want := addresses(members...)
	await(t, "the PTAF to have these DOWN and no others: "+fmt.Sprint(want), func() bool { return slices.Equal(down(t, p.Sim, shop), want) })
}

// stays makes sure that exactly those members are DOWN.
func (p *pool) stays(t *testing.T, members ...*member) {
	t.Helper()
	if got, want := down(t, p.Sim, shop), addresses(members...); !slices.Equal(got, want) {
		t.Errorf("DOWN are %v; want %v", got, want)
	}
}

// wrote makes sure of the number of writes that reached the PTAF.
func (p *pool) wrote(t *testing.T, want int) {
	t.Helper()
	if got := p.Writes(); len(got) != want {
		t.Errorf("%d writes, want %d", len(got), want)
	}
}
