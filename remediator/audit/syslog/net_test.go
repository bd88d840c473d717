package syslog

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"net"
	"testing"
	"time"
)

func pemOf(certificate []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}

func tlsListener(ln net.Listener, c *tls.Config) net.Listener { return tls.NewListener(ln, c) }

func addr(conn net.PacketConn) string {
	if conn == nil {
		return ""
	}
	return conn.LocalAddr().String()
}

// patience bounds a wait for what another goroutine is about to send.
const patience = 20 * time.Second

// packets returns what reads the next datagram.
func packets(t *testing.T, conn net.PacketConn, err error) func() (string, error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return func() (string, error) {
		b := make([]byte, 1<<16)
		n, _, err := conn.ReadFrom(b)
		return string(b[:n]), err
	}
}

// streamed returns what reads the next message of the first connection.
func streamed(t *testing.T, ln net.Listener) func() (string, error) {
	t.Helper()
	t.Cleanup(func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	})
	var r *bufio.Reader
	return func() (string, error) {
		if r == nil {
			conn, err := ln.Accept()
			if err != nil {
				return "", err
			}
			t.Cleanup(func() {
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			})
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				return "", err
			}
			r = bufio.NewReader(conn)
		}
		return counted(r)
	}
}
