package scene

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
)

// A Wire stands between Sluice and HAProxy's socket and keeps each order that
// went over it: what HAProxy was told, whatever a journal says.
type Wire struct {
	to       string
	listener net.Listener

	mu     sync.Mutex
	orders []string
}

func newWire(socket, to string) (*Wire, error) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	w := &Wire{to: to, listener: ln}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed
			}
			go w.pass(conn)
		}
	}()
	return w, nil
}

// pass carries one connection. An end that fails ends both, as without the wire.
func (w *Wire) pass(client net.Conn) {
	defer client.Close()
	device, err := net.Dial("unix", w.to)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(device, io.TeeReader(client, &lines{wire: w})) // the other direction ends when this one does
		_ = device.(*net.UnixConn).CloseWrite()                       // HAProxy may be gone
	}()
	_, _ = io.Copy(client, device)
	_ = device.Close() // it has said all it had to say
}

// lines finds whole commands in the bytes of one connection.
type lines struct {
	wire *Wire
	rest []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		l.rest = rest
		l.wire.note(string(line))
	}
}

func (w *Wire) note(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for command := range strings.SplitSeq(line, ";") {
		if order, ok := strings.CutPrefix(strings.TrimSpace(command), "set server "); ok {
			w.orders = append(w.orders, order)
		}
	}
}

// Orders returns all "set server" so far, oldest first, without these two words.
func (w *Wire) Orders() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.orders)
}

func (w *Wire) close() error { return w.listener.Close() }
