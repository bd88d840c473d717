package syslog

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/version"

	"github.com/sluice-project/sluice/remediator/journal"
)

// A Record is a line of the audit stream: its entry, and the hash by which the
// next line is chained to it.
type Record struct {
	journal.Entry
	Hash string
}

// Severities, as RFC 5424 table 2 numbers them.
const (
	severityError   = 3
	severityWarning = 4
	severityNotice  = 5
	severityInfo    = 6
)

// severity is how much a person should care.
func (r *Record) severity() int {
	switch r.Result {
	case "failed", "indeterminate":
		return severityError
	case "refused", "superseded":
		return severityWarning
	case "applied":
		return severityNotice
	}
	switch r.Event {
	case journal.EventFreeze, journal.EventThaw, "audit_repaired", "audit_new_journal", eventDropped:
		return severityWarning
	}
	return severityInfo
}

type field struct{ name, value string }

// fields are what is known, under the names that the journal has for it.
func (r *Record) fields() []field {
	all := []field{{"event", r.Event}}
	if r.Seq > 0 {
		all = append(all, field{"seq", strconv.FormatUint(r.Seq, 10)})
	}
	all = append(all, field{"hash", r.Hash})
	if m := r.Member; m != nil {
		all = append(all, field{"device", m.Device}, field{"pool", m.Pool}, field{"member", m.Name})
	}
	all = append(all,
		field{"hold", r.Hold}, field{"from", string(r.From)}, field{"to", string(r.To)}, field{"policy", r.Policy},
		field{"admin", r.Admin}, field{"result", r.Result}, field{"guard", r.Guard}, field{"reason", r.Reason},
		field{"actor", r.Actor}, field{"remediation", r.Remediation}, field{"config", r.Config}, field{"detail", r.Detail},
	)
	return all
}

// text is the record for people.
func (r *Record) text() string {
	var b strings.Builder
	if r.Member != nil {
		b.WriteString(r.Member.String() + ": ")
	}
	b.WriteString(r.Event)
	for _, word := range []string{r.Admin, r.Result, r.Guard, r.Reason} {
		if word != "" {
			b.WriteString(" " + word)
		}
	}
	if r.Detail != "" {
		b.WriteString(": " + r.Detail)
	}
	return b.String()
}

// A writer makes messages.
type writer struct {
	format     string // rfc5424 or cef
	facility   int
	enterprise int
	host       string
	pid        string
	most       int // bytes a message may have
}

// message is the record as it goes out, without framing. It is one line, and
// at most w.most bytes long: values are cut until it is.
func (w *writer) message(r Record) []byte {
	for most := w.most; ; most /= 2 {
		m := w.build(&r, most)
		if len(m) <= w.most || most == 0 {
			return []byte(m)
		}
	}
}

// build makes the message with no value longer than most bytes.
func (w *writer) build(r *Record, most int) string {
	// RFC 5424 section 6: PRI, VERSION, TIMESTAMP with at most six digits behind
	// the point, HOSTNAME, APP-NAME, PROCID, MSGID.
	head := fmt.Sprintf("<%d>1 %s %s sluice %s %s ", w.facility*8+r.severity(), r.At.UTC().Format("2006-01-02T15:04:05.000000Z"),
		name(w.host, 255), name(w.pid, 128), name(r.Event, 32))
	if w.format == FormatCEF {
		return head + "- " + cef(r, most)
	}
	return head + w.data(r, most) + " " + oneLine(cut(r.text(), most))
}

// data is the STRUCTURED-DATA: one element. RFC 5424 section 6.3.
func (w *writer) data(r *Record, most int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[sluice@%d", w.enterprise)
	for _, f := range r.fields() {
		if f.value != "" {
			// Section 6.3.3: '"', '\' and ']' must be escaped; nothing else may be.
			b.WriteString(" " + f.name + `="` + inData.Replace(oneLine(cut(f.value, most))) + `"`)
		}
	}
	return b.String() + "]"
}

var inData = strings.NewReplacer(`"`, `\"`, `\`, `\\`, `]`, `\]`)

// name is a value of the header: printable ASCII without blanks, "-" when there
// is none. RFC 5424 section 6, PRINTUSASCII and NILVALUE.
func name(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	return cmp.Or(s[:min(len(s), most)], "-")
}

// oneLine makes whatever could end a line something else. Control characters
// become "#" and three octal digits, as RFC 5424 section 6.4 tells of NUL; other
// line ends that Unicode knows, and what is no UTF-8, become U+FFFD.
func oneLine(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, "#%03o", r)
		case breaks(r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func breaks(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// cut shortens s to most bytes, and says so, without cutting a character in two.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// cefSeverity is r's on the scale of CEF, 0 to 10.
func cefSeverity(r *Record) int { return map[int]int{3: 8, 4: 6, 5: 4, 6: 2}[r.severity()] }

// cef is the record in ArcSight's Common Event Format:
//
//	CEF:0|vendor|product|version|event class|name|severity|extension
//
// Source: ArcSight Common Event Format implementation standard, version 0: the
// fields of the header, the keys of the extension, and how both are escaped.
func cef(r *Record, most int) string {
	head := []string{"CEF:0", "Sluice", "sluice", cmp.Or(version.Version, "unknown"), r.Event, title(r), strconv.Itoa(cefSeverity(r))}
	var b strings.Builder
	for _, h := range head {
		b.WriteString(inCEFHead.Replace(blank(cut(h, most))) + "|")
	}
	space := ""
	put := func(key, value string) {
		if value != "" {
			b.WriteString(space + key + "=" + inCEF(cut(value, most)))
			space = " "
		}
	}
	labelled := func(key, label, value string) {
		if value != "" {
			put(key+"Label", label)
			put(key, value)
		}
	}
	put("rt", strconv.FormatInt(max(0, r.At.UnixMilli()), 10))
	if r.Seq > 0 {
		put("externalId", strconv.FormatUint(r.Seq, 10))
	}
	put("act", r.Admin)
	put("outcome", r.Result)
	put("suser", r.Actor)
	put("reason", strings.Trim(r.Guard+": "+r.Reason, ": "))
	if m := r.Member; m != nil {
		labelled("cs1", "device", m.Device)
		labelled("cs2", "pool", m.Pool)
		labelled("cs3", "member", m.Name)
	}
	labelled("cs4", "policy", r.Policy)
	labelled("cs5", "hold", r.Hold)
	labelled("cs6", "hash", r.Hash)
	labelled("flexString1", "remediation", r.Remediation)
	labelled("flexString2", "phase", string(r.To))
	put("msg", r.Detail)
	return b.String()
}

// title is a name for the kind of thing that happened, the same each time.
func title(r *Record) string {
	return strings.TrimSpace(strings.Join([]string{r.Event, r.Admin, r.Result}, " "))
}

// In the header a pipe and a backslash are escaped; a line end can't be written.
var inCEFHead = strings.NewReplacer(`\`, `\\`, `|`, `\|`)

// blank makes whatever could end a line a blank.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if breaks(r) {
			return ' '
		}
		return r
	}, s)
}

// In the extension an equals sign and a backslash are escaped, and the line ends
// are written as \n and \r; a pipe stands for itself.
func inCEF(s string) string {
	return blank(inCEFValue.Replace(strings.ToValidUTF8(s, "\uFFFD")))
}

var inCEFValue = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\n", `\n`, "\r", `\r`)
