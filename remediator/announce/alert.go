package announce

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/alertmanager/pkg/labels"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// The alerts of our own.
const (
	Step          = "SluiceStep"          // a member is held out by us, or a bypass stands
	StepFailed    = "SluiceStepFailed"    // steps in a row came to nothing
	Refused       = "SluiceRefused"       // a guard keeps refusing a wanted step
	ApprovalWaits = "SluiceApprovalWaits" // a step waits for a person's word
)

// Names of all of them, those first that people miss most when there is no room
// for all.
var Names = []string{ApprovalWaits, StepFailed, Step, Refused}

var severities = map[string]string{Step: "info", StepFailed: "warning", Refused: "warning", ApprovalWaits: "warning"}

// Labels beside those of a member, which package edge has.
const (
	labelName     = "alertname"
	labelSeverity = "severity"
	labelPolicy   = "policy"
	labelTo       = "to"
	labelGuard    = "guard"
	labelReason   = "reason"
)

const runbooks = "https://github.com/sluice-project/sluice/blob/main/alerts/runbooks/"

// An Alert is one that is to fire now.
type Alert struct {
	Labels      map[string]string
	Annotations map[string]string
	Starts      time.Time
	Link        string // empty where nobody said under which URL people reach us
}

// key is the identity of an alert: the text of its labels.
func (a Alert) key() string {
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(a.Labels)) {
		b.WriteString(n + "=" + strconv.Quote(a.Labels[n]) + ",")
	}
	return b.String()
}

// about is what an alert is made of.
type about struct {
	name   string
	member edge.Member
	policy string
	bypass bool // whose claim is on the pool
	more   map[string]string
	starts time.Time

	summary string
	lines   []string // of the description; empty ones are left out
	page    string   // of the console; empty: the member's
}

// Bounds on text that devices, alerts and people wrote: of one line, of a whole
// description, and of a label's value, in runes; and of a link, in bytes.
const (
	mostLine  = 300
	mostText  = 1200
	mostLabel = 256
	mostLink  = 2000
)

// alert puts it into words. base is the URL under which people reach us.
func (o about) alert(base string) Alert {
	a := Alert{Starts: o.starts, Labels: map[string]string{
		labelName: o.name, labelSeverity: severities[o.name], edge.LabelAnnouncedBy: edge.Announcer,
		edge.LabelDevice: o.member.Device, edge.LabelPool: o.member.Pool, edge.LabelMember: o.member.Name, labelPolicy: o.policy,
	}}
	maps.Copy(a.Labels, o.more)
	for n, v := range a.Labels {
		a.Labels[n] = cut(strings.ToValidUTF8(v, "\uFFFD"), mostLabel) // as it is, where it can be: other alerts have the same
	}
	maps.DeleteFunc(a.Labels, func(_, v string) bool { return v == "" })
	var lines []string
	for _, l := range o.lines {
		if l = clean(l); l != "" {
			lines = append(lines, l)
		}
	}
	a.Annotations = map[string]string{
		"summary":     clean(o.summary),
		"description": cut(strings.Join(lines, " "), mostText),
		"runbook_url": runbooks + o.name + ".md",
	}
	if c := o.command(); c != "" {
		a.Annotations["command"] = c
	}
	if base != "" {
		page := o.page
		if page == "" {
			page = "member?" + url.Values{"device": {o.member.Device}, "pool": {o.member.Pool}, "member": {o.member.Name}}.Encode()
		}
		if len(page) > mostLink {
			page = "" // cut it would lead to another member
		}
		a.Link = base + "/console/" + page
		a.Annotations["console_url"] = a.Link
	}
	return a
}

// command is what to type to learn what each guard says now, in a shell that takes
// nothing of a name for its own.
func (o about) command() string {
	ms := labels.Matchers{}
	for _, l := range [][2]string{{edge.LabelRemediation, o.policy}, {edge.LabelDevice, o.member.Device}, {edge.LabelPool, o.member.Pool}, {edge.LabelMember, o.member.Name}} {
		if o.bypass && l[0] == edge.LabelMember {
			continue // the claim of a bypass is on the pool
		}
		ms = append(ms, &labels.Matcher{Type: labels.MatchEqual, Name: l[0], Value: strings.ToValidUTF8(l[1], "\uFFFD")})
	}
	var texts []string
	for _, m := range ms {
		texts = append(texts, m.String())
	}
	line := "sluice explain --labels '" + strings.ReplaceAll(strings.Join(texts, ","), "'", `'\''`) + "'"
	if len(line) > mostText || strings.ContainsFunc(line, unicode.IsControl) {
		return "" // cut or cleaned it would be about another member
	}
	return line
}

// where is a member in a sentence.
func where(m edge.Member) string {
	return clean(m.Name) + " of pool " + clean(m.Pool) + " on " + clean(m.Device)
}

// clean makes one bounded line of a text: no control sign, no line break, nothing
// that turns the direction of what follows.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return cut(strings.Join(strings.Fields(s), " "), mostLine)
}

// cut leaves most runes of a text.
func cut(s string, most int) string {
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "..."
		}
	}
	return s
}

// sentence is a text with a name before it, or nothing.
func sentence(name, text string) string {
	if text = clean(text); text == "" {
		return ""
	}
	return name + ": " + strings.TrimRight(text, ".") + "."
}

// at is a time as people read it.
func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// evidence is what our own source said, without what a member answered: that may
// hold anything.
func evidence(raw json.RawMessage) string {
	var e struct {
		Source   string        `json:"source"`
		Answer   edge.Answer   `json:"answer"`
		Duration time.Duration `json:"duration"`
		Reason   string        `json:"reason"`
		Detail   string        `json:"detail"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &e) != nil || e.Source == "" {
		return ""
	}
	said := map[edge.Answer]string{edge.Yes: "well", edge.No: "bad"}[e.Answer]
	if said == "" {
		said = "unknown"
	}
	text := fmt.Sprintf("%s finds it %s after %s", e.Source, said, e.Duration.Round(100*time.Microsecond))
	if e.Detail != "" {
		text += ", " + e.Detail
	}
	return text
}

// finding is what one guard said in a decision.
func finding(raw json.RawMessage, guard string) string {
	var d struct {
		Findings []struct {
			Guard  string `json:"guard"`
			Detail string `json:"detail"`
		} `json:"findings"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &d) != nil {
		return "" // an older version's
	}
	for _, f := range d.Findings {
		if f.Guard == guard {
			return f.Detail
		}
	}
	return ""
}

// goal is what a hold is to make of its member, by the word of its policy: one that
// drains first, and goes to maint when sessions have ended, is the same all along.
func goal(h *journal.Hold) string {
	switch {
	case h.Bypass:
		return "bypass"
	case h.Stage == journal.StageDraining || h.NextStage == journal.StageDraining:
		return edge.Maint.String()
	}
	return h.To.String()
}
