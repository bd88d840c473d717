package rig

import (
	"io"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"sync"

	"github.com/sluice-project/sluice/test/loopback"
)

// An Away puts the exporter into another network than all other parts, so that
// the line between the two can be cut. See test/rig/netns.
type Away struct {
	Enter    []string // the command that runs another one there
	Exporter string   // the exporter's address there
	Members  string   // the address of this end, where members listen
}

// members is the address for them; nil means that nobody is away.
func (a *Away) members() string {
	if a == nil {
		return loopback.Host
	}
	return a.Members
}

// move has the command run away from home, on the same port.
func (s *Sluice) move(a *Away) error {
	if a == nil {
		return nil
	}
	_, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return err
	}
	enter, err := exec.LookPath(a.Enter[0])
	if err != nil {
		return err
	}
	home := "--web.listen-address=" + s.Address
	s.Address = net.JoinHostPort(a.Exporter, port)
	s.URL = "http://" + s.Address
	args := append(append([]string{}, a.Enter[1:]...), s.path)
	for _, arg := range s.args {
		if arg == home {
			arg = "--web.listen-address=" + s.Address
		}
		args = append(args, arg)
	}
	s.path, s.args = enter, args
	return nil
}

// A Detour is a proxy for HTTP that can be cut. The exporter's probes and its
// scrapes take the way through it: where there is no network that could be cut,
// this plays one.
type Detour struct {
	URL string

	server *http.Server
	mu     sync.Mutex
	cut    map[string]chan struct{} // by host:port; closed when it is whole again
}

func newDetour() (*Detour, error) {
	ln, err := listen()
	if err != nil {
		return nil, err
	}
	d := &Detour{URL: "http://" + ln.Addr().String(), cut: make(map[string]chan struct{})}
	d.server = &http.Server{Handler: d}
	go func() {
		_ = d.server.Serve(ln) // ends by close, and then there is nobody to tell
	}()
	return d, nil
}

// Cut cuts the way to the address off, or makes it whole again: requests get no
// answer meanwhile.
func (d *Detour) Cut(address string, cut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.cut[address]
	switch {
	case cut && was == nil:
		d.cut[address] = make(chan struct{})
	case !cut && was != nil:
		close(was)
		delete(d.cut, address)
	}
}

func (d *Detour) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	cut := d.cut[r.URL.Host]
	d.mu.Unlock()
	if cut != nil {
		select {
		case <-cut:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler) // no answer, not even a late one
	}
	ask := r.Clone(r.Context())
	ask.RequestURI = ""
	resp, err := client.Transport.RoundTrip(ask)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // who asked notices when it breaks off
}

func (d *Detour) close() error {
	d.mu.Lock()
	for _, c := range d.cut {
		close(c)
	}
	clear(d.cut)
	d.mu.Unlock()
	return d.server.Close()
}
