package syslog

import (
	"cmp"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/version"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

var record = Record{
	Hash: strings.Repeat("ab", 32),
	Entry: journal.Entry{
		Seq: 7, At: time.Date(2026, 1, 2, 16, 4, 5, 678912345, time.FixedZone("", 3600)), Event: "step",
		Member: &edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}, Hold: "h3", From: journal.Applying, To: journal.Applied, Policy: "drain",
		Admin: "drain", Result: "applied", Detail: `read back as FDRAIN ["a=b|c\d"]`, Remediation: "r1", Config: "c0ffee",
	},
}

func TestMessages(t *testing.T) {
	freeze := Record{Entry: journal.Entry{Seq: 8, At: record.At, Event: "freeze", Reason: "moving racks", Actor: "operator"}}
	w := writer{format: FormatRFC5424, facility: 20, enterprise: exampleEnterprise, host: "lb 1", pid: "42", most: mostDatagram}
	asCEF := w
	asCEF.format = FormatCEF
	for _, tt := range []struct {
		name   string
		writer writer
		record Record
		want   string
	}{
		{"a step", w, record, `<165>1 2026-01-02T15:04:05.678912Z lb_1 sluice 42 step [sluice@32473 event="step" seq="7" hash="` + record.Hash +
			`" device="edge1" pool="shop" member="s1" hold="h3" from="applying" to="applied" policy="drain" admin="drain" result="applied"` +
			` remediation="r1" config="c0ffee" detail="read back as FDRAIN [\"a=b|c\\d\"\]"] edge1/shop/s1: step drain applied: read back as FDRAIN ["a=b|c\d"]`},
		{"a freeze", w, freeze, `<164>1 2026-01-02T15:04:05.678912Z lb_1 sluice 42 freeze [sluice@32473 event="freeze" seq="8" reason="moving racks" actor="operator"] freeze moving racks`},
		{"a step as CEF", asCEF, record, `<165>1 2026-01-02T15:04:05.678912Z lb_1 sluice 42 step - CEF:0|Sluice|sluice|` + cmp.Or(version.Version, "unknown") +
			`|step|step drain applied|4|rt=1767366245678 externalId=7 act=drain outcome=applied cs1Label=device cs1=edge1 cs2Label=pool cs2=shop` +
			` cs3Label=member cs3=s1 cs4Label=policy cs4=drain cs5Label=hold cs5=h3 cs6Label=hash cs6=` + record.Hash +
			` flexString1Label=remediation flexString1=r1 flexString2Label=phase flexString2=applied msg=read back as FDRAIN ["a\=b|c\\d"]`},
		{"a freeze as CEF", asCEF, freeze, `<164>1 2026-01-02T15:04:05.678912Z lb_1 sluice 42 freeze - CEF:0|Sluice|sluice|` + cmp.Or(version.Version, "unknown") +
			`|freeze|freeze|6|rt=1767366245678 externalId=8 suser=operator reason=moving racks`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(tt.writer.message(tt.record)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestALongMessageIsCutToWhatFits(t *testing.T) {
	r := record
	r.Detail = strings.Repeat(`é]"\=`+"\n", 10_000)
	for _, format := range []string{FormatRFC5424, FormatCEF} {
		w := writer{format: format, enterprise: exampleEnterprise, host: strings.Repeat("h", 300), pid: "42", most: mostDatagram}
		m := string(w.message(r))
		if len(m) > mostDatagram || !strings.Contains(m, "…") || !strings.Contains(m, r.Hash) || !utf8.ValidString(m) {
			t.Errorf("%d bytes: %s", len(m), m)
		}
	}
}

// A small reading of RFC 5424 and CEF that shares nothing with what writes them.
var (
	header  = regexp.MustCompile(`^<\d{1,3}>1 \S+ \S+ sluice \S+ \S{1,32} `)
	element = regexp.MustCompile(`^\[sluice@32473((?: [a-z]+="(?:[^"\\\]]|\\.)*")*)\]`)
	param   = regexp.MustCompile(` ([a-z]+)="((?:[^"\\\]]|\\.)*)"`)
	cefHead = regexp.MustCompile(`^CEF:0\|((?:[^|\\]|\\[|\\])*\|){6}`)
	cefKey  = regexp.MustCompile(`(?:^| )([A-Za-z0-9]+)=`)
)

// Whatever the values hold, a message is one line with the fields that it was
// given and no others, and each field reads back.
func FuzzEscaping(f *testing.F) { // I21
	f.Add("step", "app1", "plain", "edge1")
	f.Add("a|b\\", "x\ny", `a" b="c`, `] [x@1 y="z"`)
	f.Add("\r\n", `\`, `\\]`, "suser=root act=ready")
	f.Add("é\u2028\u0085", "\xff\xfe", "\x00\x1b[2J", `\n=|`)
	f.Fuzz(func(t *testing.T, event, member, detail, device string) {
		r := Record{Entry: journal.Entry{Seq: 1, At: record.At, Event: event, Member: &edge.Member{Device: device, Pool: "shop", Name: member}, Detail: detail, Actor: detail, Result: event}}
		w := writer{format: FormatRFC5424, enterprise: exampleEnterprise, host: device, pid: "42", most: mostStream}
		if len(event)+len(member)+len(detail)+len(device) > 200 {
			return // nothing is cut
		}
		m := string(w.message(r))
		wantOneLine(t, m)
		head := header.FindString(m)
		data := element.FindStringSubmatch(m[len(head):])
		if head == "" || data == nil || !strings.HasPrefix(m[len(head)+len(data[0]):], " ") {
			t.Fatalf("no header and element: %q", m)
		}
		got := map[string]string{}
		for _, p := range param.FindAllStringSubmatch(data[1], -1) {
			if _, twice := got[p[1]]; twice {
				t.Fatalf("%s stands there twice: %q", p[1], m)
			}
			got[p[1]] = regexp.MustCompile(`\\(["\\\]])`).ReplaceAllString(p[2], "$1")
		}
		want := map[string]string{"seq": "1", "event": event, "result": event, "device": device, "pool": "shop", "member": member, "actor": detail, "detail": detail}
		for k, v := range want {
			if v == "" {
				delete(want, k)
			} else if got[k] != oneLine(v) {
				t.Fatalf("%s is %q, want %q", k, got[k], oneLine(v))
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d fields, want %d: %q", len(got), len(want), m)
		}

		w.format = FormatCEF
		m = string(w.message(r))
		wantOneLine(t, m)
		head = header.FindString(m)
		if head == "" || !strings.HasPrefix(m[len(head):], "- ") {
			t.Fatalf("no header: %q", m)
		}
		m = m[len(head)+len("- "):]
		head = cefHead.FindString(m)
		if head == "" {
			t.Fatalf("no header of CEF: %q", m)
		}
		keys := map[string]bool{"rt": true, "externalId": true, "outcome": true, "suser": true, "cs1": true, "cs1Label": true, "cs2": true, "cs2Label": true, "cs3": true, "cs3Label": true, "msg": true}
		seen := map[string]bool{}
		// A key ends in an equals sign that has no backslash before it.
		for _, k := range cefKey.FindAllStringSubmatch(m[len(head):], -1) {
			if seen[k[1]] || !keys[k[1]] {
				t.Fatalf("the field %s is none of ours, or twice: %q", k[1], m)
			}
			seen[k[1]] = true
		}
		if values := regexp.MustCompile(`(?:^|[^\\])(?:\\\\)*=`).FindAllString(m[len(head):], -1); len(values) != len(seen) {
			t.Fatalf("%d equals signs that begin a value, %d keys: %q", len(values), len(seen), m)
		}
	})
}

func wantOneLine(t *testing.T, m string) {
	t.Helper()
	if !utf8.ValidString(m) || strings.ContainsFunc(m, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		t.Fatalf("not one line of text: %q", m)
	}
}
