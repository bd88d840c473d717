// Package serve runs HTTP servers for tests, on free ports of loopback and until
// the test's end, with TLS by certificates of their own where that is wanted.
package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/loopback"
)

// Handler runs a handler on a free port until the test's
// end and returns its address.
func Handler(tb testing.TB, h http.Handler, conf *tls.Config) (address string) {
	tb.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		tb.Fatal(err)
	}
	address = ln.Addr().String()
	if conf != nil {
		ln = TLS(ln, conf)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	tb.Cleanup(func() {
		_ = srv.Close() // what hangs is meant to
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			tb.Errorf("serve %s: %v", address, err)
		}
	})
	return address
}

// TLS is [tls.NewListener], but whoever serves from it doesn't tell of failed
// handshakes: [http.Server] would print each of a client that doesn't trust us.
func TLS(ln net.Listener, conf *tls.Config) net.Listener { return unseen{tls.NewListener(ln, conf)} }

type unseen struct{ net.Listener }

// Accept hides what kind of connection it is. The handshake is then done by the
// first read, and its error ends the connection like any other read's.
func (l unseen) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}

// SelfSigned makes a certificate for hosts, names or addresses, that is its own CA.
func SelfSigned(hosts ...string) (cert tls.Certificate, certPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "device.example.com"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return cert, nil, fmt.Errorf("make certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
