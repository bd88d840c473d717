package rig

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
)

// A Wire is a unix socket between Sluice and HAProxy's own. It passes every
// byte, keeps each command that reached HAProxy, and can go deaf as a wedged
// device does.
type Wire struct {
	Socket string

	to       string
	listener net.Listener
	mu       sync.Mutex
	commands []string
	cut      string        // the next line that holds it doesn't arrive; empty: all do
	deaf     chan struct{} // not nil: nothing passes until it is closed
	conns    map[net.Conn]bool
	closed   bool
}

func newWire(socket, to string) (*Wire, error) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	w := &Wire{Socket: socket, to: to, listener: ln, conns: make(map[net.Conn]bool)}
	go w.accept()
	return w, nil
}

func (w *Wire) accept() {
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return // closed
		}
		if w.track(conn) {
			go w.pass(conn)
		}
	}
}

// track remembers a connection so that close can end it.
func (w *Wire) track(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_ = c.Close() // it has carried nothing
		return false
	}
	w.conns[c] = true
	return true
}

func (w *Wire) drop(c net.Conn) {
	w.mu.Lock()
	delete(w.conns, c)
	w.mu.Unlock()
	_ = c.Close() // the other side may have closed it before
}

// pass carries one connection. Errors end it, as they would without the wire;
// the two ends notice by themselves.
func (w *Wire) pass(client net.Conn) {
	defer w.drop(client)
	device, err := net.Dial("unix", w.to)
	if err != nil {
		return
	}
	if !w.track(device) {
		return
	}
	defer w.drop(device)
	go w.orders(client, device)
	_, _ = io.Copy(client, device)
}

// orders carries the commands, line by line.
func (w *Wire) orders(client, device net.Conn) {
	lines := bufio.NewReader(client)
	for {
		line, err := lines.ReadString('\n')
		w.hear()
		if line != "" {
			w.mu.Lock()
			if w.cut != "" && strings.Contains(line, w.cut) {
				w.cut = ""
				w.mu.Unlock()
				_ = client.Close() // as a connection that breaks: nobody gets an answer
				_ = device.Close()
				return
			}
			for command := range strings.SplitSeq(line, ";") {
				if command = strings.TrimSpace(command); command != "" {
					w.commands = append(w.commands, command)
				}
			}
			w.mu.Unlock()
			if _, err := io.WriteString(device, line); err != nil {
				return
			}
		}
		if err != nil {
			if c, ok := device.(*net.UnixConn); ok && errors.Is(err, io.EOF) {
				_ = c.CloseWrite() // it may be gone, having answered
			}
			return
		}
	}
}

// hear waits while the wire is deaf.
func (w *Wire) hear() {
	w.mu.Lock()
	deaf := w.deaf
	w.mu.Unlock()
	if deaf != nil {
		<-deaf
	}
}

// Deafen makes the device take connections and commands without ever answering,
// or hear again.
func (w *Wire) Deafen(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case on && w.deaf == nil:
		w.deaf = make(chan struct{})
	case !on && w.deaf != nil:
		close(w.deaf)
		w.deaf = nil
	}
}

// Cut breaks the connection of the next line that holds this text, before it
// reaches HAProxy.
func (w *Wire) Cut(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = text
}

// Orders returns the commands that changed something or tried to, oldest first.
func (w *Wire) Orders() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.commands), func(c string) bool {
		verb, _, _ := strings.Cut(c, " ")
		return verb == "show" || c == "set severity-output number"
	})
}

func (w *Wire) close() error {
	w.Deafen(false)
	w.mu.Lock()
	w.closed = true
	for c := range w.conns {
		_ = c.Close()
	}
	w.mu.Unlock()
	return w.listener.Close()
}
