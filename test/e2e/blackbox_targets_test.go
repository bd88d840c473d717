package e2e

import (
	"bufio"
	"compress/gzip"
	"encoding/pem"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	health1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sluice-project/sluice/test/loopback"
)

// targets are what two probers are asked to look at.
type targets struct {
	web, tls          string // URLs
	ca                string // file
	banner, dns, grpc string // host:port
	refused           string // host:port where nobody is
}

func startTargets(t *testing.T) targets {
	t.Helper()
	var w targets
	hang := make(chan struct{})
	web := httptest.NewServer(pages(hang))
	t.Cleanup(func() { close(hang); web.Close() })
	w.web = web.URL

	secure := httptest.NewUnstartedServer(pages(hang))
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // that its certificate is refused
	secure.StartTLS()
	t.Cleanup(secure.Close)
	w.tls = secure.URL
	w.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(w.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}

	var err error
	if w.refused, err = loopback.Address(); err != nil {
		t.Fatal(err)
	}
	w.banner = startBanner(t)
	w.dns = startDNS(t)
	w.grpc = startGRPC(t)
	return w
}

func pages(hang chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Kind", "good")
		fmt.Fprint(w, "hello")
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) })
	mux.HandleFunc("/circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/circle", http.StatusFound) })
	mux.HandleFunc("/dated", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
	})
	mux.HandleFunc("/chunked", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "one")
		w.(http.Flusher).Flush()
		fmt.Fprint(w, "two")
	})
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/host", func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.example" {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		fmt.Fprint(z, strings.Repeat("hello ", 100))
		if err := z.Close(); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	return mux
}

// startBanner speaks the first lines of a mail server.
func startBanner(t *testing.T) string {
	t.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				fmt.Fprint(conn, "220 mail.example ready\r\n")
				for in := bufio.NewScanner(conn); in.Scan(); {
					if in.Text() == "QUIT" {
						fmt.Fprint(conn, "221 bye\r\n")
						return
					}
					fmt.Fprintf(conn, "250 %s\r\n", in.Text())
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// startDNS serves one zone over both transports, at one port.
func startDNS(t *testing.T) string {
	t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 60}
		switch {
		case head.Name == "shop.example." && head.Rrtype == dns.TypeA:
			a.Answer = []dns.RR{&dns.A{Hdr: head, A: net.IPv4(192, 0, 2, 7)}, &dns.A{Hdr: head, A: net.IPv4(192, 0, 2, 6)}}
		case head.Name == "example." && head.Rrtype == dns.TypeSOA:
			a.Answer = []dns.RR{&dns.SOA{Hdr: head, Ns: "ns.example.", Mbox: "host.example.", Serial: 2026010203, Refresh: 1, Retry: 1, Expire: 1, Minttl: 1}}
		default:
			a.Rcode = dns.RcodeNameError
		}
		if err := w.WriteMsg(a); err != nil {
			t.Errorf("name server: %v", err)
		}
	})
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{Listener: ln, Handler: handler}, {PacketConn: packets, Handler: handler}} {
		go s.ActivateAndServe() //nolint:errcheck // it ends with its socket
	}
	t.Cleanup(func() { ln.Close(); packets.Close() })
	return ln.Addr().String()
}

func startGRPC(t *testing.T) string {
	t.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	states := health.NewServer()
	states.SetServingStatus("shop", health1.HealthCheckResponse_SERVING)
	s := grpc.NewServer()
	health1.RegisterHealthServer(s, states)
	go s.Serve(ln) //nolint:errcheck // it ends with its socket
	t.Cleanup(s.Stop)
	return ln.Addr().String()
}
