package probe_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/test/loopback"
)

// listenBoth returns a port that is free for UDP and for TCP.
func listenBoth(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 20 {
		ln, err := loopback.Listen()
		if err != nil {
			t.Fatal(err)
		}
		if packets, err := net.ListenPacket("udp4", ln.Addr().String()); err == nil {
			return ln, packets
		}
		_ = ln.Close() // another one is tried
	}
	t.Fatal("no port is free for both")
	return nil, nil
}

// zone is a name server, over UDP and TCP at the first address, over TLS at the second.
func zone(t testing.TB, cert tls.Certificate) (plain, secure string) {
	t.Helper()
	mux := dns.NewServeMux()
	reply := func(name string, with func(*dns.Msg)) {
		mux.HandleFunc(name, func(w dns.ResponseWriter, q *dns.Msg) {
			a := new(dns.Msg).SetReply(q)
			with(a)
			_ = w.WriteMsg(a) // whoever asked may have gone
		})
	}
	record := func(text string) dns.RR {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		return rr
	}
	two := []dns.RR{record("two.example. 60 IN A 192.0.2.1"), record("two.example. 60 IN A 192.0.2.2")}
	soa := record("example. 60 IN SOA ns.example. admin.example. 2026010203 1 2 3 4")
	ns, glue := record("example. 60 IN NS ns.example."), record("ns.example. 60 IN A 192.0.2.53")
	reply("two.example.", func(a *dns.Msg) { a.Answer, a.Ns, a.Extra = two, []dns.RR{ns}, []dns.RR{glue} })
	reply("example.", func(a *dns.Msg) { a.Answer = []dns.RR{soa} })
	reply("empty.example.", func(*dns.Msg) {})
	reply("nothing.example.", func(a *dns.Msg) { a.Rcode, a.Ns = dns.RcodeNameError, []dns.RR{soa} })
	reply("refused.example.", func(a *dns.Msg) { a.Rcode, a.Question = dns.RcodeRefused, nil })
	reply("cut.example.", func(a *dns.Msg) { a.Truncated = true })
	reply("half.example.", func(a *dns.Msg) { a.Answer, a.Truncated = two[:1], true })
	reply("unsure.example.", func(a *dns.Msg) { a.Rcode = 12 })
	reply("desired.example.", func(a *dns.Msg) {
		if a.RecursionDesired {
			a.Answer = two
		}
	})
	mux.HandleFunc("from.example.", func(w dns.ResponseWriter, q *dns.Msg) {
		host, _, err := net.SplitHostPort(w.RemoteAddr().String())
		if err != nil {
			t.Error(err)
		}
		a := new(dns.Msg).SetReply(q)
		a.Answer = []dns.RR{record("from.example. 60 IN A " + host)}
		_ = w.WriteMsg(a) // whoever asked may have gone
	})
	mux.HandleFunc("silent.example.", func(dns.ResponseWriter, *dns.Msg) {})
	ln, packets := listenBoth(t)
	hidden, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{
		{Listener: ln, Handler: mux},
		{PacketConn: packets, Handler: mux},
		{Listener: tls.NewListener(hidden, &tls.Config{Certificates: []tls.Certificate{cert}}), Handler: mux},
	} {
		ended := make(chan error, 1)
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return ln.Addr().String(), hidden.Addr().String()
}

// packets answers each packet by hand: with nothing, or with what answer returns.
func packets(t testing.TB, answer func(query []byte) [][]byte) string {
	t.Helper()
	ln, conn := listenBoth(t)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the test is over
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, packet := range answer(slices.Clone(buf[:n])) {
				if _, err := conn.WriteTo(packet, from); err != nil {
					return
				}
			}
		}
	}()
	return conn.LocalAddr().String()
}

func TestNamesAreAskedFor(t *testing.T) {
	https := webTLS(t, http.NotFound, nil) // for its certificate
	plain, secure := zone(t, https.TLS.Certificates[0])
	overTLS := fmt.Sprintf("transport_protocol: tcp, dns_over_tls: true, tls_config: {ca_file: %s}, ", authority(t, https))
	for _, c := range []struct {
		name, query string
		want        probe.Reason
		detail      string
	}{
		{"all is well", "query_name: two.example, query_type: A", "", ""},
		{"the type is ANY if nothing is said", "query_name: two.example.", "", ""},
		{"a name that isn't there", "query_name: nothing.example", probe.Status, "the answer is NXDOMAIN, want one of [NOERROR]"},
		{"a name that isn't meant to be there", "query_name: nothing.example, valid_rcodes: [NXDOMAIN]", "", ""},
		{"a name that was meant not to be there", "query_name: two.example, valid_rcodes: [NXDOMAIN, REFUSED]", probe.Status, "is NOERROR, want one of [NXDOMAIN REFUSED]"},
		{"a refusal without the question", "query_name: refused.example", probe.Status, "the answer is REFUSED"},
		{"a code that has no name", "query_name: unsure.example", probe.Status, "the answer is response code 12"},
		{"a truncated answer is judged as far as it goes", "query_name: half.example, validate_answer_rrs: {fail_if_not_matches_regexp: ['192\\.0\\.2\\.1']}", "", ""},
		{"a truncated answer of nothing passes where nothing is wanted", "query_name: cut.example", "", ""},
		{"a truncated answer without what is wanted", "query_name: cut.example, validate_answer_rrs: {fail_if_none_matches_regexp: [never]}", probe.Body, "answer: no records (the answer is truncated)"},
		{"recursion is desired", "query_name: desired.example, validate_answer_rrs: {fail_if_not_matches_regexp: [never]}", probe.Body, "doesn't match"},
		{"recursion isn't desired", "query_name: desired.example, recursion_desired: false, validate_answer_rrs: {fail_if_not_matches_regexp: [never]}", probe.Body, "no records"},
		{"another class isn't served", "query_name: two.example, query_class: CH, validate_answer_rrs: {fail_if_matches_regexp: ['CH']}", "", ""},

		{"one record matches", "query_name: two.example, validate_answer_rrs: {fail_if_matches_regexp: ['2\\.2$']}", probe.Body, `answer: "two.example. 60 IN A 192.0.2.2" matches "2\\.2$"`},
		{"none matches", "query_name: two.example, validate_answer_rrs: {fail_if_matches_regexp: ['2\\.3$']}", "", ""},
		{"one doesn't match", "query_name: two.example, validate_answer_rrs: {fail_if_not_matches_regexp: ['2\\.1$']}", probe.Body, "doesn't match"},
		{"all match", "query_name: two.example, validate_answer_rrs: {fail_if_not_matches_regexp: ['2\\.[12]$']}", "", ""},
		{"some match", "query_name: two.example, validate_answer_rrs: {fail_if_none_matches_regexp: ['2\\.1$']}", "", ""},
		{"none matches any", "query_name: two.example, validate_answer_rrs: {fail_if_none_matches_regexp: ['2\\.3$', never]}", probe.Body, `answer: no record matches one of ["2\\.3$" "never"]`},
		{"fail_if_all_match wants all to match", "query_name: two.example, validate_answer_rrs: {fail_if_all_match_regexp: ['192']}", "", ""},
		{"fail_if_all_match fails where one doesn't", "query_name: two.example, validate_answer_rrs: {fail_if_all_match_regexp: ['2\\.1$']}", probe.Body, "doesn't match"},
		{"fail_if_all_match passes without records", "query_name: empty.example, validate_answer_rrs: {fail_if_all_match_regexp: ['192']}", "", ""},
		{"no records to match", "query_name: empty.example, validate_answer_rrs: {fail_if_not_matches_regexp: ['192']}", probe.Body, "answer: no records"},
		{"the authority section", "query_name: two.example, validate_authority_rrs: {fail_if_matches_regexp: [NS]}", probe.Body, "authority: "},
		{"the additional section", "query_name: two.example, validate_additional_rrs: {fail_if_not_matches_regexp: [AAAA]}", probe.Body, "additional: "},
		{"the address of whoever asks", "query_name: from.example, validate_answer_rrs: {fail_if_not_matches_regexp: ['127\\.0\\.0\\.1']}", "", ""},
		{"the source address is used", "query_name: from.example, source_ip_address: 127.0.0.2, validate_answer_rrs: {fail_if_not_matches_regexp: ['127\\.0\\.0\\.2']}", "", ""},
	} {
		for transport, how := range map[string]string{"udp": "", "tcp": "transport_protocol: tcp, ", "tls": overTLS} {
			t.Run(c.name+", "+transport, func(t *testing.T) {
				target := plain
				if transport == "tls" {
					target = secure
				}
				r := ask(t, "{prober: dns, dns: {"+how+c.query+"}}", target)
				wantReason(t, r, c.want)
				if !strings.Contains(r.Detail, c.detail) {
					t.Errorf("%s; want %q in it", r.Detail, c.detail)
				}
				if (r.TLS != nil) != (transport == "tls") || r.IP != "127.0.0.1" || len(r.Body) == 0 || len(r.Body) > 1<<10 {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// figuresOf returns what r holds, by name and labels.
func figuresOf(r probe.Result) map[string]float64 {
	all := make(map[string]float64)
	for _, f := range r.Figures {
		name := f.Name
		for key, value := range f.Labels {
			name += fmt.Sprintf("{%s=%q}", key, value)
		}
		all[name] = f.Value
	}
	return all
}

func wantFigures(t *testing.T, r probe.Result, want map[string]float64) {
	t.Helper()
	got := figuresOf(r)
	if len(got) != len(r.Figures) {
		t.Errorf("a figure comes twice: %+v", r.Figures)
	}
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s is %v, %v; want %v", name, v, ok, value)
		}
	}
	for _, f := range r.Figures {
		if f.Help == "" {
			t.Errorf("%s has no help", f.Name)
		}
	}
}

func TestFiguresOfDNS(t *testing.T) {
	plain, _ := zone(t, tls.Certificate{})
	r := ask(t, "{prober: dns, dns: {query_name: two.example}}", plain)
	wantFigures(t, r, map[string]float64{
		"probe_dns_answer_rrs": 2, "probe_dns_authority_rrs": 1, "probe_dns_additional_rrs": 1, "probe_dns_query_succeeded": 1,
	})
	got := figuresOf(r)
	for _, phase := range []string{"connect", "request"} {
		if got[fmt.Sprintf("probe_dns_duration_seconds{phase=%q}", phase)] <= 0 {
			t.Errorf("%s took no time: %v", phase, got)
		}
	}
	if _, there := got["probe_dns_serial"]; there {
		t.Error("nobody asked for a serial number")
	}
	wantFigures(t, ask(t, "{prober: dns, dns: {query_name: example, query_type: SOA}}", plain), map[string]float64{"probe_dns_serial": 2026010203})
	wantFigures(t, ask(t, "{prober: dns, dns: {query_name: empty.example, query_type: SOA}}", plain), map[string]float64{"probe_dns_serial": 0})
	// It was answered, although nobody wanted this answer.
	wantFigures(t, ask(t, "{prober: dns, dns: {query_name: nothing.example}}", plain), map[string]float64{
		"probe_dns_query_succeeded": 1, "probe_dns_authority_rrs": 1,
	})
	r = ask(t, "{prober: dns, timeout: 1s, dns: {query_name: silent.example, query_type: SOA}}", plain)
	wantFigures(t, r, map[string]float64{"probe_dns_query_succeeded": 0, "probe_dns_answer_rrs": 0})
	if _, there := figuresOf(r)["probe_dns_serial"]; there {
		t.Error("a serial number without an answer")
	}
}

// replyTo is an answer to the query that with may spoil.
func replyTo(t testing.TB, query []byte, with func(*dns.Msg)) []byte {
	q := new(dns.Msg)
	if err := q.Unpack(query); err != nil {
		t.Error(err)
		return nil
	}
	a := new(dns.Msg).SetReply(q)
	if with != nil {
		with(a)
	}
	raw, err := a.Pack()
	if err != nil {
		t.Error(err)
	}
	return raw
}

func TestWhatIsNoAnswerOfDNS(t *testing.T) {
	rr, err := dns.NewRR("example.com. 60 IN A 192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		answer   func(query []byte) [][]byte
		udp, tcp probe.Reason
		detail   string
	}{
		{"the wrong id", func(q []byte) [][]byte {
			return [][]byte{replyTo(t, q, func(a *dns.Msg) { a.Id++ })}
		}, probe.Timeout, probe.Status, "answers another query"},
		{"the wrong question", func(q []byte) [][]byte {
			return [][]byte{replyTo(t, q, func(a *dns.Msg) { a.Question[0].Name = "example.org." })}
		}, probe.Timeout, probe.Status, "answers another query"},
		{"the wrong id first", func(q []byte) [][]byte {
			return [][]byte{replyTo(t, q, func(a *dns.Msg) { a.Id++ }), replyTo(t, q, nil)}
		}, "", probe.Status, "answers another query"},
		{"the question in capital letters", func(q []byte) [][]byte {
			return [][]byte{replyTo(t, q, func(a *dns.Msg) { a.Question[0].Name = "EXAMPLE.com." })}
		}, "", "", ""},
		{"the query thrown back", func(q []byte) [][]byte { return [][]byte{q} }, probe.Status, probe.Status, "no message of DNS"},
		{"garbage", func([]byte) [][]byte { return [][]byte{[]byte("220 mail.example.com ready\r\n")} }, probe.Status, probe.Status, "no message of DNS"},
		{"one byte", func([]byte) [][]byte { return [][]byte{{1}} }, probe.Status, probe.Status, "no message of DNS"},
		{"nothing", func([]byte) [][]byte { return [][]byte{{}} }, probe.Status, probe.Status, "no message of DNS"},
		{"only the head of an answer", func(q []byte) [][]byte { return [][]byte{replyTo(t, q, nil)[:12]} }, "", "", ""},
		{"the head of an answer that promises records", func(q []byte) [][]byte {
			return [][]byte{replyTo(t, q, func(a *dns.Msg) { a.Answer = []dns.RR{rr} })[:12]}
		}, probe.Status, probe.Status, "the answer breaks off"},
		{"an answer cut between records", func(q []byte) [][]byte {
			whole := replyTo(t, q, nil)
			binary.BigEndian.PutUint16(whole[6:], 3)
			return [][]byte{whole}
		}, probe.Status, probe.Status, "the answer breaks off"},
		{"names that unfold to a thousand times their length", func(q []byte) [][]byte {
			whole := replyTo(t, q, func(a *dns.Msg) {
				long := strings.Repeat(strings.Repeat("\\001", 63)+".", 3)
				a.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: long, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: "."}}
			})
			at := uint16(len(q))            // where the long name begins
			n := (60_000 - len(whole)) / 14 // as much as UDP carries
			for range n {
				whole = binary.BigEndian.AppendUint16(whole, 0xc000|at)
				whole = append(whole, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0|byte(at>>8), byte(at))
			}
			binary.BigEndian.PutUint16(whole[6:], uint16(1+n))
			return [][]byte{whole}
		}, probe.Status, "", "longer than the 512 bytes"},
		{"an answer that is too long for UDP", func(q []byte) [][]byte {
			return [][]byte{replyTo(t, q, func(a *dns.Msg) {
				for range 40 {
					a.Answer = append(a.Answer, rr)
				}
			})}
		}, probe.Status, "", "longer than the 512 bytes"},
	} {
		for _, transport := range []string{"udp", "tcp"} {
			t.Run(c.name+", "+transport, func(t *testing.T) {
				var at string
				want := c.udp
				if transport == "udp" {
					at = packets(t, c.answer)
				} else {
					want = c.tcp
					at = raw(t, func(conn net.Conn) {
						var length [2]byte
						if _, err := io.ReadFull(conn, length[:]); err != nil {
							return
						}
						query := make([]byte, binary.BigEndian.Uint16(length[:]))
						if _, err := io.ReadFull(conn, query); err != nil {
							return
						}
						for _, packet := range c.answer(query) {
							framed := binary.BigEndian.AppendUint16(nil, uint16(len(packet)))
							if _, err := conn.Write(append(framed, packet...)); err != nil {
								return
							}
						}
					})
				}
				r := ask(t, fmt.Sprintf("{prober: dns, timeout: %s, dns: {transport_protocol: %s, query_name: example.com, query_type: A}}", timeFor(want), transport), at)
				wantReason(t, r, want)
				if len(r.Body) > 1<<10 || want == "" && len(r.Body) == 0 {
					t.Errorf("kept %d bytes", len(r.Body))
				}
				if want == probe.Status && !strings.Contains(r.Detail, c.detail) {
					t.Errorf("%s; want %q in it", r.Detail, c.detail)
				}
			})
		}
	}
}

func TestANameServerThatIsNotThere(t *testing.T) {
	https := webTLS(t, http.NotFound, nil) // for its certificate
	plain, secure := zone(t, https.TLS.Certificates[0])
	ln, conn := listenBoth(t)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	shut := raw(t, func(net.Conn) {})
	half := raw(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 512))
		_, _ = c.Write([]byte{0, 100, 1, 2, 3})
	})
	hang := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	words := raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example.com\r\n") })
	strict := raw(t, func(c net.Conn) { // it wants a certificate of ours
		s := tls.Server(c, &tls.Config{Certificates: https.TLS.Certificates, ClientAuth: tls.RequireAnyClientCert})
		_, _ = io.Copy(io.Discard, s)
	})
	const tcp, overTLS = "transport_protocol: tcp, ", "transport_protocol: tcp, dns_over_tls: true, "
	for _, c := range []struct {
		name, how, target string
		want              probe.Reason
		last              string // the stage that was begun last
	}{
		{"nobody listens, udp", "", nobody, probe.Connect, probe.StageProcessing},
		{"nobody listens, tcp", tcp, nobody, probe.Connect, probe.StageConnect},
		{"a name without an address", "", "nothing.invalid", probe.DNS, probe.StageResolve},
		{"it hangs up, tcp", tcp, shut, probe.Status, probe.StageProcessing},
		{"it hangs up in its answer, tcp", tcp, half, probe.Status, probe.StageProcessing},
		{"it hangs, tcp", tcp, hang, probe.Timeout, probe.StageProcessing},
		{"it hangs, TLS", overTLS, hang, probe.Timeout, probe.StageTLS},
		{"it is silent, udp", "query_type: NS, ", plain, probe.Timeout, probe.StageProcessing},
		{"an unknown authority", overTLS, secure, probe.TLS, probe.StageTLS},
		{"a certificate is wanted of us", overTLS + "tls_config: {insecure_skip_verify: true}, ", strict, probe.TLS, probe.StageProcessing},
		{"no TLS where it is wanted", overTLS, words, probe.TLS, probe.StageTLS},
		{"an address that isn't this machine's, udp", "source_ip_address: 192.0.2.1, ", plain, probe.Unmade, probe.StageConnect},
		{"an address that isn't this machine's, tcp", tcp + "source_ip_address: 192.0.2.1, ", plain, probe.Unmade, probe.StageConnect},
		{"a target that is none", "", "http://" + plain, probe.Unmade, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(t, "{prober: dns, timeout: "+timeFor(c.want)+", dns: {"+c.how+"query_name: silent.example}}", c.target)
			wantReason(t, r, c.want)
			var last string
			if len(r.Stages) > 0 {
				last = r.Stages[len(r.Stages)-1].Name
			}
			if last != c.last || r.Detail == "" {
				t.Errorf("%s, ended in %q, want %q", r.Detail, last, c.last)
			}
			wantFigures(t, r, map[string]float64{"probe_dns_query_succeeded": 0})
		})
	}
	t.Run("no file is left", func(t *testing.T) {
		for _, m := range []string{
			"{prober: dns, dns: {query_name: two.example}}",
			"{prober: dns, dns: {transport_protocol: tcp, query_name: two.example}}",
			"{prober: grpc}",
		} {
			p, err := probe.New(module(t, m))
			if err != nil {
				t.Fatal(err)
			}
			var was syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: was.Max}); err != nil {
				t.Fatal(err)
			}
			r := p.Probe(t.Context(), plain)
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
				t.Fatal(err)
			}
			wantReason(t, r, probe.Unmade)
		}
	})
	t.Run("it was interrupted", func(t *testing.T) {
		p, err := probe.New(module(t, "{prober: dns, timeout: 1m, dns: {query_name: silent.example}}"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		r := p.Probe(ctx, plain)
		wantReason(t, r, probe.Unmade)
		if r.Answer() != edge.Unknown {
			t.Errorf("I6: its answer is %s", r.Answer())
		}
		wantReason(t, p.Probe(ctx, plain), probe.Unmade) // no time was left
	})
}

// Whatever comes in place of an answer, the result is whole and bounded.
func FuzzAnswersOfDNS(f *testing.F) {
	rr, err := dns.NewRR("example.com. 60 IN TXT \"a\\010b\"")
	if err != nil {
		f.Fatal(err)
	}
	good := new(dns.Msg).SetQuestion("example.com.", dns.TypeANY)
	good.Response, good.Answer = true, []dns.RR{rr}
	packed, err := good.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add(packed[:len(packed)-1])
	f.Add([]byte("220 ready\r\n"))
	f.Add([]byte{})
	answer := make(chan []byte, 1)
	at := packets(f, func(query []byte) [][]byte {
		a := <-answer
		if len(a) >= 2 {
			copy(a, query[:2]) // its id, so that all the rest is looked at
		}
		return [][]byte{a}
	})
	p, err := probe.New(module(f, `{prober: dns, timeout: 50ms, dns: {query_name: example.com, validate_answer_rrs: {fail_if_matches_regexp: ['a']}}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<15 {
			return
		}
		answer <- slices.Clone(in)
		r := p.Probe(t.Context(), at)
		if r.Up != (r.Reason == "") || r.Up != (r.Detail == "") || strings.ContainsAny(r.Detail, "\r\n\x00") || len(r.Detail) > 400 || len(r.Body) > 1<<10 {
			t.Errorf("%+v", r)
		}
		if got := figuresOf(r)["probe_dns_query_succeeded"]; r.Up && got != 1 {
			t.Errorf("up without an answer: %+v", r)
		}
	})
}
