package record

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A Report is a whole run of the script.
type Report struct {
	Parts [][2]string // name and version of each
	Setup []string    // paragraphs: what all incidents have in common
	Runs  []*Run
}

// Met and missed are how a finding begins.
const (
	Met    = "met"
	Missed = "NOT MET"
)

// Write writes the report as a page of Markdown.
func (p *Report) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Incidents, watched\n\n")
	b.WriteString("<!-- Written by \"make incidents\": don't edit. -->\n\n")
	for _, s := range p.Setup {
		b.WriteString(s + "\n\n")
	}
	b.WriteString(p.verdict() + "\n\n")
	b.WriteString("| Part | Version |\n|---|---|\n")
	for _, v := range p.Parts {
		row(&b, v[0], v[1])
	}
	b.WriteString("\n")
	p.summary(&b)
	for _, r := range p.Runs {
		r.section(&b)
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

// verdict says first what matters most.
func (p *Report) verdict() string {
	var bad []string
	all := 0
	for _, r := range p.Runs {
		all += len(r.Findings)
		for _, f := range r.Findings {
			if f.Why != "" {
				bad = append(bad, fmt.Sprintf("- %s: %s: %s.", r.Title, f.Says, f.Why))
			}
		}
	}
	if len(bad) == 0 {
		return fmt.Sprintf("**All %d expectations are met.**", all)
	}
	return fmt.Sprintf("**%d of %d expectations are %s:**\n\n%s", len(bad), all, Missed, strings.Join(bad, "\n"))
}

func row(b *strings.Builder, cells ...string) {
	for _, c := range cells {
		b.WriteString("| " + strings.ReplaceAll(strings.ReplaceAll(c, "|", `\|`), "\n", " ") + " ")
	}
	b.WriteString("|\n")
}

func (p *Report) summary(b *strings.Builder) {
	b.WriteString("## All of them\n\n")
	b.WriteString("Times are seconds after time 0, when the fault begins; \"back\" counts from its end. \"Refusals\" are entries of the journal, which has one when guard or reason changes.\n\n")
	b.WriteString("| Incident | First alert | First step | Requests failed | Back | Alerts that fired | Refusals by guard | Expectations |\n|---|--:|--:|--:|--:|--:|---|---|\n")
	for _, r := range p.Runs {
		met := fmt.Sprintf("all %d met", len(r.Findings))
		if r.Failed() {
			met = "**" + Missed + "**"
		}
		row(b, fmt.Sprintf("[%s](#%s)", r.Title, anchor(r.Title)), r.firstAlert(), r.firstStep(), r.failed(), r.backAfter(),
			strconv.Itoa(len(r.names())), r.refusals(), met)
	}
	b.WriteString("\n")
}

// anchor is how GitHub names a heading.
func anchor(title string) string {
	keep := func(c rune) rune {
		switch {
		case c == ' ':
			return '-'
		case c == '-', c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		}
		return -1
	}
	return strings.Map(keep, strings.ToLower(title))
}

func (r *Run) firstAlert() string {
	at := Never
	for _, a := range r.Fired() {
		if a.Firing >= 0 && (at == Never || a.Firing < at) {
			at = a.Firing
		}
	}
	return seconds(at)
}

func (r *Run) firstStep() string {
	if done := r.Done(); len(done) > 0 {
		return seconds(done[0].At)
	}
	return "none"
}

func (r *Run) failed() string {
	var out []string
	for _, c := range r.Clients {
		text := fmt.Sprintf("%d of %d", c.Failed, c.Sent)
		if len(r.Clients) > 1 {
			text = c.Through + ": " + text
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func (r *Run) backAfter() string {
	if r.Mended == Never || r.back() == Never {
		return "-"
	}
	return seconds(r.back() - r.Mended)
}

func (r *Run) refusals() string {
	var out []string
	for _, g := range r.guards() {
		n := 0
		for _, f := range r.Refusals {
			if f.Guard == g {
				n++
			}
		}
		out = append(out, fmt.Sprintf("%s %d", g, n))
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func (r *Run) section(b *strings.Builder) {
	fmt.Fprintf(b, "## %s\n\n%s\n\n", r.Title, r.About)
	if r.Remark != "" {
		fmt.Fprintf(b, "%s\n\n", r.Remark)
	}
	b.WriteString("Expected:\n\n")
	for _, f := range r.Findings {
		if f.Why == "" {
			fmt.Fprintf(b, "- %s: %s\n", Met, f.Says)
		} else {
			fmt.Fprintf(b, "- **%s**: %s: %s\n", Missed, f.Says, f.Why)
		}
	}
	b.WriteString("\n| s | Where | What |\n|--:|---|---|\n")
	for _, l := range lines(r.timeline()) {
		who, what := l.who, l.text()
		if who == Script {
			who, what = "**"+who+"**", "**"+what+"**"
		}
		row(b, l.when(), who, what)
	}
	b.WriteString("\n")
	r.alerts(b)
	r.clients(b)
}

// timeline adds to what was seen as an event what has a list of its own.
func (r *Run) timeline() []Event {
	all := slices.Clone(r.Events)
	for _, a := range r.Alerts {
		who := "Prometheus"
		if a.Own {
			who = "remediator"
		}
		if a.Pending >= 0 {
			all = append(all, Event{a.Pending, who, a.Name + " is pending", a.Of})
		}
		if a.Firing >= 0 {
			all = append(all, Event{a.Firing, who, a.Name + " fires", a.Of})
		}
		switch {
		case a.Over < 0:
		case a.Firing == Never:
			all = append(all, Event{a.Over, who, a.Name + " is pending no more", a.Of})
		default:
			all = append(all, Event{a.Over, who, a.Name + " is over", a.Of})
		}
	}
	for _, m := range r.Messages {
		var parts []string
		if len(m.Fires) > 0 {
			parts = append(parts, "fires: "+strings.Join(m.Fires, "; "))
		}
		if len(m.Over) > 0 {
			parts = append(parts, "over: "+strings.Join(m.Over, "; "))
		}
		all = append(all, Event{m.At, "people", "get a message: " + strings.Join(parts, "; "), ""})
	}
	for _, m := range r.Mutes {
		all = append(all, Event{m.At, "Alertmanager", "mutes, because of " + m.By, m.Alert})
	}
	for _, s := range r.Steps {
		text := fmt.Sprintf("step to %s %s", s.To, s.Result)
		if s.Actor != "" {
			text += " by " + s.Actor
		}
		if s.Detail != "" {
			text += " (" + s.Detail + ")"
		}
		all = append(all, Event{s.At, "remediator", text, s.Member})
	}
	for _, f := range r.Refusals {
		all = append(all, Event{f.At, "remediator", fmt.Sprintf("guard %s refuses (%s): %s", f.Guard, f.Reason, f.Detail), f.Member})
	}
	for _, o := range r.Out {
		all = append(all, Event{o.At, "device", "has it as " + o.State, o.Member})
	}
	for _, c := range r.Clients {
		for _, n := range c.Bursts {
			all = append(all, Event{n.From, "clients", fmt.Sprintf("requests through %s fail, %d of %d until %s: %s", c.Through, n.Failed, n.Sent, seconds(n.To), n.Says), ""})
		}
	}
	slices.SortStableFunc(all, func(a, b Event) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	return all
}

func (r *Run) alerts(b *strings.Builder) {
	if len(r.Alerts) == 0 {
		b.WriteString("No alert was pending or fired.\n\n")
		return
	}
	b.WriteString("| Alert | Of | Severity | Pending | Fires | Over | Told | What it said |\n|---|---|---|--:|--:|--:|--:|---|\n")
	for _, a := range r.Alerts {
		row(b, a.Name, a.Of, a.Severity, seconds(a.Pending), seconds(a.Firing), seconds(a.Over), r.told(a), a.said())
	}
	b.WriteString("\n")
}

func (a Alert) said() string {
	if a.Firing == Never {
		return ""
	}
	return strings.TrimSuffix(a.Summary, ".") + ". " + a.Text
}

// told is when people heard of this life of the alert, or why they didn't.
func (r *Run) told(a Alert) string {
	if a.Firing == Never {
		return "-"
	}
	for _, m := range r.Messages {
		if m.At >= a.Firing && (a.Over == Never || m.At <= a.Over+1) && slices.Contains(m.Fires, a.String()) {
			return seconds(m.At)
		}
	}
	for _, m := range r.Mutes {
		if m.Alert == a.String() && m.At >= a.Firing-1 && (a.Over == Never || m.At <= a.Over+1) {
			return "muted"
		}
	}
	return "no"
}

func (r *Run) clients(b *strings.Builder) {
	b.WriteString("| Clients through | Requests | Failed | From | To |\n|---|--:|--:|--:|--:|\n")
	for _, c := range r.Clients {
		from, to := Never, Never
		if n := len(c.Bursts); n > 0 {
			from, to = c.Bursts[0].From, c.Bursts[n-1].To
		}
		row(b, c.Through, strconv.Itoa(c.Sent), strconv.Itoa(c.Failed), seconds(from), seconds(to))
	}
	b.WriteString("\n")
}
