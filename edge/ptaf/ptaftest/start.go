package ptaftest

import (
	"crypto/tls"
	"testing"

	"github.com/sluice-project/sluice/test/serve"
)

// Start serves the API on a free port until the test's end, and returns the
// URL that a client is given: "http://127.0.0.1:.../api/waf/v2".
func (s *Sim) Start(tb testing.TB) string {
	tb.Helper()
	return "http://" + serve.Handler(tb, s, nil) + Base
}

// StartTLS does the same with a certificate that signed itself, as devices
// have, and returns that too. Source: so it is wherever the device was seen.
func (s *Sim) StartTLS(tb testing.TB) (url string, certPEM []byte) {
	tb.Helper()
	cert, certPEM, err := serve.SelfSigned("127.0.0.1")
	if err != nil {
		tb.Fatal(err)
	}
	return "https://" + serve.Handler(tb, s, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}) + Base, certPEM
}
