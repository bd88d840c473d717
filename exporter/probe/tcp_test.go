package probe_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/exporter/probe"
)

func TestAConversation(t *testing.T) {
	at := raw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "noise\r\n220 ready 42\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		_, _ = io.WriteString(c, "you said "+line)
	})
	for _, c := range []struct {
		name, turns string
		want        probe.Reason
	}{
		{"what was sent comes back", `[{expect: '^220 '}, {send: PING}, {expect: '^you said PING$'}]`, ""},
		{"a group of what was expected is sent", `[{expect: '^220 ready ([0-9]+)$', send: 'PONG ${1}'}, {expect: '^you said PONG 42$'}]`, ""},
		{"nothing is replaced where nothing was expected", `[{send: 'PONG ${1}'}, {expect: '^you said PONG \$\{1}$'}]`, ""},
		{"it says something else", `[{expect: '^220 '}, {send: PING}, {expect: '^you said PONG$'}]`, probe.Body},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(t, "{prober: tcp, tcp: {query_response: "+c.turns+"}}", at)
			wantReason(t, r, c.want)
			if !strings.Contains(string(r.Body), "220 ready 42\r\n") {
				t.Errorf("kept %q", r.Body)
			}
		})
	}
}

func TestGoingOverToTLS(t *testing.T) {
	s := webTLS(t, http.NotFound, nil) // for its certificate
	ca := authority(t, s)
	at := raw(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		_, _ = io.WriteString(c, "220 mail.example.com\r\n")
		if line, _ := in.ReadString('\n'); line != "STARTTLS\n" {
			return
		}
		_, _ = io.WriteString(c, "220 go on\r\n")
		secure := tls.Server(c, &tls.Config{Certificates: s.TLS.Certificates})
		line, _ := bufio.NewReader(secure).ReadString('\n')
		_, _ = io.WriteString(secure, "250 "+line)
	})
	const turns = `query_response: [{expect: '^220 ', send: STARTTLS}, {expect: '^220 go', starttls: true}, {send: EHLO}, {expect: '^250 EHLO$'}]`
	r := ask(t, fmt.Sprintf("{prober: tcp, tcp: {tls_config: {ca_file: %s}, %s}}", ca, turns), at)
	wantReason(t, r, "")
	if r.TLS == nil || r.TLS.Version != "TLS 1.3" {
		t.Errorf("%+v", r.TLS)
	}
	wantReason(t, ask(t, "{prober: tcp, tcp: {"+turns+"}}", at), probe.TLS)
}

func TestTheSourceAddressIsUsed(t *testing.T) {
	from := make(chan string, 1)
	at := raw(t, func(c net.Conn) { from <- c.RemoteAddr().String() })
	wantReason(t, ask(t, "{prober: tcp, tcp: {source_ip_address: 127.0.0.2}}", at), "")
	if host, _, err := net.SplitHostPort(<-from); host != "127.0.0.2" {
		t.Errorf("from %s, %v", host, err)
	}
	// An address that isn't this machine's is our mistake, not the target's.
	wantReason(t, ask(t, "{prober: tcp, tcp: {source_ip_address: 192.0.2.1}}", at), probe.Unmade)
}
