// Command ptafsim runs a simulated PTAF 3.x or PTAF PRO by hand, to try Sluice's
// configuration, dashboards and commands without a device. It prints what to put
// into sluice.yml and then each call that comes. Nothing is kept; Ctrl-C ends it.
//
//	go run ./test/ptafsim                                  plain HTTP on 127.0.0.1:8443
//	go run ./test/ptafsim --tls                            with a self-signed certificate, and its pin
//	go run ./test/ptafsim --pro                            a PTAF PRO; --tls and --fault go with it too
//	go run ./test/ptafsim --fault=not-kept --fault=slow    misbehaving until the end
//	go run ./test/ptafsim --backend=127.0.0.1:8081 --backend=127.0.0.1:8082 --front.listen-address=127.0.0.1:8080
//
// The last one has members of your own and, on port 8080, the proxy that shares
// traffic among them as the simulated device is told to.
//
// To change something as an administrator would:
//
//	curl -u sluice:not-a-real-password -X PATCH -H 'Content-Type: application/json' \
//	    -d '{"backends": [{"address": "192.0.2.11", "port": 8080, "down": true}]}' \
//	    http://127.0.0.1:8443/api/waf/v2/upstreams/64f0c0ffee0123456789abcd
//
// And on the PTAF PRO:
//
//	curl -H 'Authorization: Bearer not-a-real-token' -X PATCH -H 'Content-Type: application/json' \
//	    -d '{"enabled": false}' http://127.0.0.1:8443/api/ptaf/v4/config/backends/0f5b2a4e-0000-4000-8000-000000000001
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
	"github.com/sluice-project/sluice/test/serve"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := ptafsim(ctx, os.Args[1:], os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ptafsim:", err)
		os.Exit(1)
	}
}

// settings are what the flags say.
type settings struct {
	listen, front string
	tls, pro      bool
	faults        []string
	backends      []string
}

// A device is a simulator that is ready to be served.
type device struct {
	api   http.Handler
	front http.Handler // nil: it has none
	base  string       // path of the API

	credentials [][2]string                  // what to log in with, and what it is called
	config      func(url, tls string) string // an entry of devices in sluice.yml; tls is a line of its own, or empty
}

func ptafsim(ctx context.Context, args []string, out io.Writer) error {
	app := kingpin.New("ptafsim", "Simulates the management API of a PTAF 3.x, and the proxy behind it, or that of a PTAF PRO.")
	app.HelpFlag.Short('h')
	var o settings
	app.Flag("web.listen-address", "Address of the API.").Default("127.0.0.1:8443").StringVar(&o.listen)
	app.Flag("front.listen-address", "Address of the proxy that shares traffic among the backends; none when left out. PTAF 3.x only.").StringVar(&o.front)
	app.Flag("tls", "Serve the API with a self-signed certificate.").BoolVar(&o.tls)
	app.Flag("pro", "Be a PTAF PRO.").BoolVar(&o.pro)
	app.Flag("backend", "host:port of a member, instead of the samples. Repeatable.").StringsVar(&o.backends)
	app.Flag("fault", "Misbehave. PTAF 3.x: "+strings.Join(ptaftest.Faults(), ", ")+". PTAF PRO: "+strings.Join(ptafprotest.Faults(), ", ")+". Repeatable.").StringsVar(&o.faults)
	if _, err := app.Parse(args); err != nil {
		return err
	}
	d, err := newDevice(o)
	if err != nil {
		return err
	}
	return answer(ctx, d, o, &lines{w: out})
}

// answer runs until ctx ends, which is no error.
func answer(ctx context.Context, d device, o settings, out *lines) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return err
	}
	address, scheme, pin := ln.Addr().String(), "http", ""
	if o.tls {
		cert, err := certificate(address)
		if err != nil {
			return errors.Join(err, ln.Close())
		}
		ln = serve.TLS(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		scheme, pin = "https", fmt.Sprintf("pin_sha256: %x", sha256.Sum256(cert.Certificate[0]))
	}
	url := scheme + "://" + address + d.base
	out.say("API       %s", url)
	for _, c := range d.credentials {
		out.say("%-9s %s", c[0], c[1])
	}

	g, ctx := errgroup.WithContext(ctx)
	if o.front != "" {
		front, err := lc.Listen(ctx, "tcp", o.front)
		if err != nil {
			return errors.Join(err, ln.Close())
		}
		out.say("proxy     http://%s", front.Addr())
		run(ctx, g, front, d.front)
	}
	out.say("\n# sluice.yml\ndevices:\n%s", d.config(url, pin))
	run(ctx, g, ln, told(d.api, out))
	return g.Wait()
}

// run serves until ctx ends.
func run(ctx context.Context, g *errgroup.Group, ln net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	g.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return srv.Close() // what hangs is meant to
	})
}

// told prints each call with its status.
func told(h http.Handler, out *lines) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &status{ResponseWriter: w}
		h.ServeHTTP(seen, r)
		out.say("%s %s %s %d", time.Now().Format(time.TimeOnly), r.Method, strings.ToValidUTF8(r.URL.EscapedPath(), ""), seen.code)
	})
}

// status remembers the code of an answer, 0 until there is one.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// lines are written whole, one at a time.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format+"\n", args...)
}
