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

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/exporter/probe"
)

// seriesOf are a result's, as they might stand on a page.
func seriesOf(r probe.Result) map[string]float64 {
	all := make(map[string]float64)
	for _, f := range r.Figures {
		labels := ""
		if len(f.Labels) > 0 {
			labels = fmt.Sprint(f.Labels)
		}
		all[f.Name+labels] = f.Value
	}
	return all
}

// serverTLS goes over to TLS with the certificate of s.
func serverTLS(c net.Conn, certificates []tls.Certificate) net.Conn {
	return tls.Server(c, &tls.Config{Certificates: certificates})
}

func TestWhatIsExpectedIsToldInFigures(t *testing.T) {
	at := raw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "220 mail.example.com ESMTP \xffExim\x01 4.96\r\nOK!")
		_, _ = bufio.NewReader(c).ReadByte()
	})
	const name = `{expect: '^220 ([^ ]+) ESMTP (.+)$', labels: [{name: host, value: '${1}'}, {name: software, value: 'is $2'}]}`
	for _, c := range []struct {
		name, turns string
		reason      probe.Reason
		want        map[string]float64
	}{
		{
			"labels of a line, then bytes", "[" + name + ", {expect_bytes: OK}, {expect_bytes: '!'}]", "",
			map[string]float64{
				"probe_expect_info" + fmt.Sprint(map[string]string{"host": "mail.example.com", "software": "is ?Exim  4.96"}): 1,
				"probe_failed_due_to_regex": 0, "probe_failed_due_to_bytes": 0,
			},
		},
		{
			"labels of several turns are one series", "[{expect: '^220', labels: [{name: a, value: b}]}, {expect: '^(OK)', send: x, labels: [{name: ok, value: '${1}'}]}]", probe.Body,
			map[string]float64{
				"probe_expect_info" + fmt.Sprint(map[string]string{"a": "b"}): 1,
				"probe_failed_due_to_regex":                                   1, "probe_failed_due_to_bytes": 0,
			},
		},
		{
			"other bytes", "[{expect: 220}, {expect_bytes: KO}]", probe.Body,
			map[string]float64{"probe_failed_due_to_regex": 0, "probe_failed_due_to_bytes": 1},
		},
		{
			"too few bytes", "[{expect: 220}, {send: x}, {expect_bytes: OK!!}]", probe.Body,
			map[string]float64{"probe_failed_due_to_regex": 0, "probe_failed_due_to_bytes": 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			turns := strings.ReplaceAll(c.turns, "{expect: '^(OK)', send: x", "{send: x}, {expect: '^(KO)'")
			r := ask(t, "{prober: tcp, timeout: 5s, tcp: {query_response: "+turns+"}}", at)
			wantReason(t, r, c.reason)
			if diff := cmp.Diff(c.want, seriesOf(r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Nobody may put words into the other side's mouth before the handshake.
func TestWhatWasSaidBeforeTLSIsNotHeardAfterIt(t *testing.T) {
	s := webTLS(t, http.NotFound, nil)
	ca := authority(t, s)
	at := raw(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		_, _ = in.ReadString('\n')
		_, _ = io.WriteString(c, "220 go on\r\n250 forged\r\n")
		secure := serverTLS(c, s.TLS.Certificates)
		_, _ = io.WriteString(secure, "421 no\r\n")
	})
	r := ask(t, fmt.Sprintf(`{prober: tcp, timeout: 5s, tcp: {tls_config: {ca_file: %s},
		query_response: [{send: STARTTLS}, {expect: '^220'}, {starttls: true}, {expect: '^250'}]}}`, ca), at)
	if r.Up {
		t.Error("it was heard")
	}
}

// mail is a server of SMTP as far as a prober goes.
func mail(certificates []tls.Certificate) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, "220 mail.example.com ESMTP Lab\r\n")
		in := bufio.NewReader(c)
		for secure := false; ; {
			line, err := in.ReadString('\n')
			switch {
			case err != nil:
				return
			case line == "EHLO prober\r\n" && !secure:
				_, _ = io.WriteString(c, "250-mail.example.com\r\n250-STARTTLS\r\n250 HELP\r\n")
			case line == "EHLO prober\r\n":
				_, _ = io.WriteString(c, "250-mail.example.com\r\n250-AUTH PLAIN\r\n250 HELP\r\n")
			case line == "STARTTLS\r\n" && !secure:
				_, _ = io.WriteString(c, "220 go ahead\r\n")
				c = serverTLS(c, certificates)
				in, secure = bufio.NewReader(c), true
			case line == "QUIT\r\n":
				_, _ = io.WriteString(c, "221 bye\r\n")
				return
			default:
				_, _ = io.WriteString(c, "500 what?\r\n")
			}
		}
	}
}

func imap(certificates []tls.Certificate) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n")
		if line, _ := bufio.NewReader(c).ReadString('\n'); line != ". STARTTLS\n" {
			return
		}
		_, _ = io.WriteString(c, ". OK begin TLS\r\n")
		c = serverTLS(c, certificates)
		if line, _ := bufio.NewReader(c).ReadString('\n'); line != ". capability\n" {
			return
		}
		_, _ = io.WriteString(c, "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n. OK done\r\n")
	}
}

func irc(c net.Conn) {
	in := bufio.NewReader(c)
	nick, _ := in.ReadString('\n')
	user, _ := in.ReadString('\n')
	if nick != "NICK prober\n" || user != "USER prober prober prober :prober\n" {
		return
	}
	_, _ = io.WriteString(c, ":irc.example.com NOTICE * :looking up\r\nPING :4711\r\n")
	if line, _ := in.ReadString('\n'); line == "PONG 4711\n" {
		_, _ = io.WriteString(c, ":irc.example.com 001 prober :welcome\r\n")
	}
}

// postgres takes the request for TLS and, as the real one, nothing after it
// before the handshake.
func postgres(certificates []tls.Certificate) func(net.Conn) {
	return func(c net.Conn) {
		request := make([]byte, 64)
		if n, _ := io.ReadAtLeast(c, request, 8); string(request[:n]) != "\x00\x00\x00\x08\x04\xd2\x16\x2f" {
			return
		}
		_, _ = io.WriteString(c, "S")
		secure := serverTLS(c, certificates)
		_, _ = secure.Read(request) // makes the handshake
	}
}

// The conversations of blackbox_exporter's example file, with servers that know them.
func TestTheConversationsOfTheExampleFile(t *testing.T) {
	modules := examples(t, "example.yml")
	s := webTLS(t, http.NotFound, nil)
	ca := authority(t, s)
	certificates := s.TLS.Certificates
	for name, serve := range map[string]func(net.Conn){
		"smtp_starttls":      mail(certificates),
		"imap_starttls":      imap(certificates),
		"irc_banner_example": irc,
		"postgresql":         postgres(certificates),
	} {
		t.Run(name, func(t *testing.T) {
			m := modules[name]
			m.TCP.TLSConfig.CAFile = ca // all that is not as in the file
			p, err := probe.New(m)
			if err != nil {
				t.Fatal(err)
			}
			r := p.Probe(t.Context(), raw(t, serve))
			wantReason(t, r, "")
			if (r.TLS != nil) != (name != "irc_banner_example") {
				t.Errorf("TLS %+v", r.TLS)
			}
			wrong := p.Probe(t.Context(), raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "-ERR\r\n") }))
			if wrong.Up {
				t.Error("a server of something else is up")
			}
		})
	}
}

// A line without an end, and lines without an end to them, cost no more than a turn may read.
func TestAServerThatNeverStopsTalking(t *testing.T) {
	for name, said := range map[string]string{"one line": "x", "many lines": "x\n", "NUL": "\x00"} {
		t.Run(name, func(t *testing.T) {
			at := raw(t, func(c net.Conn) {
				b := []byte(strings.Repeat(said, 32<<10))
				for {
					if _, err := c.Write(b); err != nil {
						return
					}
				}
			})
			r := ask(t, "{prober: tcp, timeout: 1m, tcp: {query_response: [{expect: '^220'}]}}", at)
			wantReason(t, r, probe.Body)
			if len(r.Body) != 1<<10 {
				t.Errorf("%d bytes kept", len(r.Body))
			}
		})
	}
}

// Whatever a server says, a conversation ends, and what is shown of it is a line.
func FuzzTalk(f *testing.F) {
	f.Add([]byte("220 x\r\nOK"))
	f.Add([]byte("220 \xff\x00\n\n\n"))
	f.Add([]byte(strings.Repeat("220", 300) + "\n\x00\x01"))
	p, err := probe.New(module(f, `{prober: tcp, timeout: 10s, tcp: {query_response: [
		{expect: '^220(.*)', send: '${1}', labels: [{name: said, value: '${1}'}]}, {expect_bytes: OK}]}}`))
	if err != nil {
		f.Fatal(err)
	}
	said := make(chan []byte, 1)
	at := raw(f, func(c net.Conn) { _, _ = c.Write(<-said) })
	f.Fuzz(func(t *testing.T, in []byte) {
		said <- in
		r := p.Probe(t.Context(), at)
		if r.Reason == probe.Timeout {
			t.Errorf("%q: %s", in, r.Detail)
		}
		for _, figure := range r.Figures {
			for name, value := range figure.Labels {
				if strings.ContainsAny(value, "\n\r\x00") || len(value) > 400 || strings.ToValidUTF8(value, "") != value {
					t.Errorf("%s=%q", name, value)
				}
			}
		}
	})
}
