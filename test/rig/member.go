package rig

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-project/sluice/test/loopback"
)

// A Behaviour is how a toy member answers.
type Behaviour int

const (
	// Serve answers 200.
	Serve Behaviour = iota
	// Refuse closes the listener and all connections: the port is shut, as
	// after a crash.
	Refuse
	// Hang takes connections and requests and answers none.
	Hang
	// Fail answers 500.
	Fail
	// SickOnly answers 500 to health checks and 200 to everybody else.
	SickOnly
	// WellOnly answers 200 to health checks and 500 to everybody else.
	WellOnly
)

// A Member is a toy server behind HAProxy, in our own process, so that it can
// die and come back on the same port at an exact moment.
type Member struct {
	Name    string
	Address string // host:port, the same for all its lives; of loopback, unless the exporter is away

	mu        sync.Mutex
	behaviour Behaviour
	changed   chan struct{} // closed when behaviour changes: ends what hangs
	server    *http.Server
	served    uint64
	finish    chan struct{} // closed when answers on longPath are to end
}

// NewMember starts a member that serves.
func NewMember(name string) (*Member, error) { return newMemberOn(loopback.Host, name) }

func newMemberOn(host, name string) (*Member, error) {
	ln, err := listenOn(host)
	if err != nil {
		return nil, err
	}
	m := &Member{Name: name, Address: ln.Addr().String(), changed: make(chan struct{}), finish: make(chan struct{})}
	m.serve(ln)
	return m, nil
}

func (m *Member) serve(ln net.Listener) {
	srv := &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second}
	m.server = srv
	go func() {
		// Serve always ends with an error, here by Close in Set: nobody to tell.
		_ = srv.Serve(ln)
	}()
}

// Set makes the member behave as b from now on. Requests that hang are cut off.
func (m *Member) Set(b Behaviour) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b == m.behaviour {
		return nil
	}
	was := m.behaviour
	m.behaviour = b
	close(m.changed)
	m.changed = make(chan struct{})
	switch {
	case b == Refuse:
		return m.server.Close()
	case was == Refuse:
		ln, err := net.Listen("tcp4", m.Address)
		// Somebody else's test may have got the port meanwhile; it mostly ends soon.
		for end := time.Now().Add(patience); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); {
			<-time.After(50 * time.Millisecond)
			ln, err = net.Listen("tcp4", m.Address)
		}
		if err != nil {
			return fmt.Errorf("bring %s back: %w", m.Name, err)
		}
		m.serve(ln)
	}
	return nil
}

// Served returns how many requests other than health checks it has answered
// with 200.
func (m *Member) Served() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.served
}

// patience is how long a member waits for its port.
const patience = 20 * time.Second

// Close ends the member for good.
func (m *Member) Close() error { return m.Set(Refuse) }

func (m *Member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	behaviour, changed := m.behaviour, m.changed
	if behaviour == SickOnly {
		behaviour = Serve
		if r.URL.Path == healthPath {
			behaviour = Fail
		}
	}
	if behaviour == WellOnly {
		behaviour = Serve
		if r.URL.Path != healthPath {
			behaviour = Fail
		}
	}
	if behaviour == Serve && r.URL.Path != healthPath {
		m.served++
	}
	finish := m.finish
	m.mu.Unlock()
	w.Header().Set("X-Member", m.Name)
	if r.URL.Path == longPath {
		long(w, r, finish)
		return
	}
	switch behaviour {
	case Hang, Refuse:
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler) // no answer, not even a late one
	case Fail:
		http.Error(w, `{"db":"down"}`, http.StatusInternalServerError)
	case Serve, SickOnly, WellOnly:
		fmt.Fprintln(w, `{"db":"up"}`)
	}
}
