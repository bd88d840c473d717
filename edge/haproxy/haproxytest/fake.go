// Package haproxytest stands in for a HAProxy in tests: a fake in memory that
// plays what differs between versions and can misbehave, and a starter of the
// real one. A test that both pass says that the fake is faithful.
package haproxytest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Version is major and minor, such as 2.6: {2, 6}.
type Version struct{ Major, Minor int }

// Versions are those whose answers differ in what Sluice reads.
var Versions = []Version{{2, 0}, {2, 3}, {2, 4}, {2, 6}, {2, 8}, {3, 0}, {3, 2}, {3, 4}}

// String returns "2.6".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

func (v Version) from(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// A Fault is a way to misbehave.
type Fault int

// The faults.
const (
	None     Fault = iota
	Truncate       // close in the middle of an answer
	Hang           // take the command and never answer
	Garbage        // answer bytes that are no answer
	Drop           // do what was asked, then close without an answer
	Deaf           // say that it was done, and do nothing
	Level          // a socket of level user: nothing may be changed
)

// A Server is one server of the fake.
type Server struct {
	Backend, Name string
	Address       string // host:port
	Admin         int    // srv_admin_state
	Op            int    // srv_op_state
	Check         string // check_status; empty without a check
	Weight        int
	Agent         bool
	Tracks        string // "backend/server"
	Sessions      int
	LastCheck     string // last_chk: text of the checked server, hostile as it may be
}

// Fake is a HAProxy in memory. Its fields are set before the first connection.
type Fake struct {
	Version  Version
	Disabled []string // backends that are disabled
	Static   []string // backends with a static algorithm

	mu       sync.Mutex
	servers  []*Server
	commands []string
	fault    Fault
	pid      int
	start    int64
}

// NewFake makes one with servers, all running and ready unless they say otherwise.
func NewFake(v Version, servers ...Server) *Fake {
	f := &Fake{Version: v, pid: 4242, start: time.Now().Unix() - 100}
	for _, s := range servers {
		if s.Weight == 0 {
			s.Weight = 100
		}
		f.servers = append(f.servers, &s)
	}
	return f
}

// Dial is for haproxy.Options.
func (f *Fake) Dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go f.serve(theirs)
	return ours, nil
}

// Serve answers on a listener until that is closed, for whoever wants a socket.
func (f *Fake) Serve(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go f.serve(conn)
	}
}

// Misbehave sets the fault for all that comes.
func (f *Fake) Misbehave(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Restart forgets what was set at run time, as a new process does.
func (f *Fake) Restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pid++
	for _, s := range f.servers {
		s.Admin &^= 0x09
	}
}

// Commands returns every command that was received, those that were refused included.
func (f *Fake) Commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.commands)
}

func (f *Fake) serve(conn net.Conn) {
	defer conn.Close() // the end of a pipe
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return
	}
	buf := make([]byte, 64<<10)
	n := 0
	for !strings.Contains(string(buf[:n]), "\n") {
		m, err := conn.Read(buf[n:])
		if n += m; err != nil || n == len(buf) {
			return
		}
	}
	answer, fault := f.answer(string(buf[:n]))
	switch fault {
	case Hang:
		_, _ = conn.Read(buf) // until the client gives up
		return
	case Drop:
		return
	case Garbage:
		answer = "\x00\xff<html>502 Bad Gateway</html>\n"
	case Truncate:
		answer = answer[:len(answer)*2/3]
		if strings.HasSuffix(answer, "\n\n") {
			answer = answer[:len(answer)-1]
		}
	}
	_, _ = conn.Write([]byte(answer)) // a client that is gone needs no answer
}

// answer runs the lines of one write.
func (f *Fake) answer(in string) (string, Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := strings.Split(strings.TrimSuffix(in, "\n"), "\n")
	if f.Version.from(3, 2) {
		lines = lines[:1] // seen on 3.4: only the first of two lines in one write is run
	}
	var out strings.Builder
	severe := false
	for _, line := range lines {
		if f.Version.from(3, 2) && len(line) > 16384 {
			out.WriteString("The command line is too big for the buffer size. Please change tune.bufsize in the configuration to use a bigger command.\n\n")
			continue
		}
		sep := func(r rune) bool { return r == ';' || r == 0 && f.Version.from(3, 0) }
		for _, c := range strings.FieldsFunc(line, sep) {
			c, _, _ = strings.Cut(c, "\x00") // 2.x cuts there
			f.commands = append(f.commands, c)
			if c == "set severity-output number" {
				severe = true
				out.WriteString("\n")
				continue
			}
			text, level := f.run(strings.Fields(c))
			if severe && level > 0 && text != "" {
				text = fmt.Sprintf("[%d]: %s", level, text)
			}
			out.WriteString(text + "\n")
		}
	}
	return out.String(), f.fault
}

// run answers one command, without the empty line at its end; level is the
// severity of a message, 0 for data.
func (f *Fake) run(words []string) (text string, level int) {
	at := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch {
	case at(0) == "show" && at(1) == "info":
		return f.info(), 0
	case at(0) == "show" && at(1) == "table":
		return "# table: shop, type: ip, size:1048576, used:12\n", 0
	case at(0) == "show" && at(1) == "stat":
		return f.stat(), 0
	case at(0) == "show" && at(1) == "servers" && at(2) == "state":
		return f.state(at(3))
	case at(0) == "get" && at(1) == "weight":
		s, why := f.find(at(2))
		if s == nil {
			return why, 3
		}
		return fmt.Sprintf("%d (initial 100)\n", s.Weight), 0
	case at(0) == "set" && at(1) == "server":
		return f.set(at(2), at(3), at(4))
	case at(0) == "shutdown" && at(1) == "sessions":
		s, why := f.find(at(3))
		if s == nil {
			return why, 3
		}
		s.Sessions = 0
		return "", 0
	}
	return "Unknown command: '" + at(0) + "', but maybe one of the following ones is a better match:\n  help\n", 3
}

func (f *Fake) set(name, what, value string) (string, int) {
	if f.fault == Level {
		return "Permission denied\n", 3
	}
	s, why := f.find(name)
	if s == nil {
		return why, 3
	}
	if slices.Contains(f.Disabled, s.Backend) {
		return "Proxy is disabled.\n", 3
	}
	switch what {
	case "state":
		return f.setState(s, value)
	case "weight":
		return f.setWeight(s, value)
	}
	return "usage: set server <backend>/<server> addr | agent | health | state | weight\n", 3
}

func (f *Fake) setState(s *Server, value string) (string, int) {
	admin := s.Admin
	switch value {
	case "ready":
		admin &^= 0x09
	case "drain":
		admin = admin&^0x01 | 0x08
	case "maint":
		admin = admin&^0x08 | 0x01
	default:
		return "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n", 3
	}
	if f.fault != Deaf {
		s.Admin = admin
	}
	return "", 0
}

func (f *Fake) setWeight(s *Server, value string) (string, int) {
	n, err := strconv.Atoi(strings.TrimSuffix(value, "%"))
	switch {
	case err != nil:
		return "Require <weight> or <weight%>.\n", 3
	case slices.Contains(f.Static, s.Backend) && n != 0 && n != 100:
		return "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.\n", 3
	case f.fault != Deaf:
		s.Weight = n
	}
	return "", 0
}

func (f *Fake) find(name string) (*Server, string) {
	backend, server, ok := strings.Cut(name, "/")
	if !ok {
		return nil, "Require 'backend/server'.\n"
	}
	why := "No such backend.\n"
	for _, s := range f.servers {
		if s.Backend != backend {
			continue
		}
		if why = "No such server.\n"; s.Name == server {
			return s, ""
		}
	}
	return nil, why
}
