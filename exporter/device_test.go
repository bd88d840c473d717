package exporter

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A device plays a HAProxy at a socket: it says what a test wants, holds its
// answers back for as long as one wants, and counts who is connected.
type device struct {
	path string
	say  func(command string) string

	mu        sync.Mutex
	held      chan struct{} // each answer takes one from it; nil: they are given at once
	open      int           // connections that wait for their answer
	most      int           // as many as ever waited at once
	questions []string      // each a line as it came
}

// listen starts a device that ends with the test.
func listen(t testing.TB, say func(command string) string) *device {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl") // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	d := &device{path: filepath.Join(dir, "s"), say: say}
	ln, err := net.Listen("unix", d.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close(); _ = os.RemoveAll(dir) }) // both are of this test alone
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go d.serve(conn)
		}
	}()
	return d
}

func (d *device) serve(conn net.Conn) {
	defer conn.Close()
	// It is counted out before it is answered: whoever has the answer may come again.
	d.count(1)
	answered := sync.OnceFunc(func() { d.count(-1) })
	defer answered()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	d.mu.Lock()
	d.questions = append(d.questions, strings.TrimSpace(line))
	held := d.held
	d.mu.Unlock()
	if held != nil {
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = io.Copy(io.Discard, conn) // it ends when the client gives up
		}()
		select {
		case <-held:
		case <-gone:
			return
		}
	}
	var text strings.Builder
	for command := range strings.SplitSeq(strings.TrimSpace(line), ";") {
		text.WriteString(d.say(command))
	}
	answered()
	_, _ = io.WriteString(conn, text.String()) // a client that went away is its own business
}

func (d *device) count(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open += n
	d.most = max(d.most, d.open)
}

// hold keeps each answer back until the channel that it returns is sent
// something, or is closed.
func (d *device) hold() (release chan<- struct{}) {
	held := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = held
	return held
}

// asked returns the questions that came, and how many connections wait and ever
// waited at once.
func (d *device) asked() (questions []string, open, most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.questions), d.open, d.most
}

// haproxy says what a HAProxy of a pool with these servers says.
func haproxy(pool string, servers ...string) func(string) string {
	var stat, state strings.Builder
	stat.WriteString("# pxname,svname,qcur,scur,status,weight,act,bck,type,check_status,stot,-,h1_open_conns,\n")
	stat.WriteString("web,FRONTEND,,3,OPEN,,,,0,,7,,2,\nweb,sock-1,,3,OPEN,,,,3,,7,,,\n")
	state.WriteString("1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_agent_state srv_check_state srv_port\n")
	for i, s := range servers {
		fmt.Fprintf(&stat, "%s,%s,0,3,UP,1,1,0,2,L7OK,5,,1,\n", csvField(pool), csvField(s))
		fmt.Fprintf(&state, "3 %s %d %s 192.0.2.%d 2 0 1 1 0 6 8080\n", pool, i+1, s, i+1)
	}
	fmt.Fprintf(&stat, "%s,BACKEND,0,3,UP,%d,1,0,1,,7,,,\n", csvField(pool), len(servers))
	return func(command string) string {
		switch {
		case command == "show info":
			return "Name: HAProxy\nVersion: 2.6.12\nPid: 7\nStart_time_sec: 1800000000\n\n"
		case command == "show table":
			return "# table: " + pool + ", type: ip, size:10, used:3\n\n"
		case command == "show servers state":
			return state.String() + "\n"
		case strings.HasPrefix(command, "show stat"):
			return stat.String() + "\n"
		}
		return "Unknown command\n\n"
	}
}

// csvField writes a field as "show stat" does.
func csvField(s string) string {
	if strings.ContainsAny(s, ",\"\n") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}
