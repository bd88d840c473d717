package haproxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/loopback"
)

// HAProxy's CLI has no TLS: what ends it stands in front, as here.
func TestATLSWrapperInFrontIsSpokenTo(t *testing.T) {
	certs := httptest.NewUnstartedServer(nil)
	certs.StartTLS()
	defer certs.Close()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	f := fake(haproxytest.Version{Major: 2, Minor: 6})
	secure := tls.NewListener(ln, &tls.Config{Certificates: certs.TLS.Certificates, MinVersion: tls.VersionTLS12})
	defer secure.Close()
	go f.Serve(secure)

	roots := x509.NewCertPool()
	roots.AddCert(certs.Certificate())
	var transport string
	c, err := haproxy.New(haproxy.Options{
		Address: "ipv4@" + ln.Addr().String(),
		TLS:     &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12},
		Trace:   func(k haproxy.Call) { transport = k.Transport },
	})
	wantErr(t, err, nil)
	wantErr(t, c.SetAdmin(t.Context(), "shop", "s1", edge.Drain), nil)
	if transport != "tls" {
		t.Errorf("the trace says %q", transport)
	}

	c, err = haproxy.New(haproxy.Options{Address: "ipv4@" + ln.Addr().String(), TLS: &tls.Config{RootCAs: roots, ServerName: "other.example.org", MinVersion: tls.VersionTLS12}})
	wantErr(t, err, nil)
	var connect *haproxy.ConnectError
	if _, err := c.Info(t.Context()); !errors.As(err, &connect) {
		t.Errorf("another's certificate: %v; want a ConnectError", err)
	}
	if _, err := haproxy.New(haproxy.Options{Address: "/run/h.sock", TLS: &tls.Config{MinVersion: tls.VersionTLS12}}); err == nil {
		t.Error("TLS on a unix socket was taken")
	}
}
