package main

import (
	"cmp"
	_ "embed" // the page
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/journal"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// A page is what the remediator's own page shows. Nothing in it is secret.
type page struct {
	Base, Version, At string
	Mode, Frozen      string
	FrozenFor         string
	Brake, Standby    string
	Claims            int
	Sources           []claims.Source
	Holds             []holdLine
	Waiting           []candidateLine // for a person's word
	Candidates        []candidateLine // all others that are claimed and not taken out
}

type candidateLine struct {
	Member                    edge.Member
	To                        string
	Phase, Since, Policy, Why string
	Answer                    string // a person's, not judged yet
}

type holdLine struct {
	Member                       edge.Member
	To                           string
	Phase, Since, Policy, Reason string
}

// remediatorPage shows people how things stand and where all else is.
func remediatorPage(status func() remediator.Status, external string, logger log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		st := status()
		who := access.From(r.Context())
		p := page{
			Base: external, Version: cmp.Or(version.Version, "unknown"), At: now.UTC().Format(time.RFC3339),
			Mode: st.Mode, Frozen: st.Frozen, Brake: st.Brake, Standby: st.Standby, Claims: st.Claims, Sources: st.Sources,
		}
		if p.Brake != "" && !who.May(access.View, edge.Pool{}) {
			p.Brake = "too many members fell sick" // it names pools
		}
		if st.Frozen != "" {
			p.FrozenFor = st.FrozenFor.Round(time.Second).String()
		}
		for _, c := range st.Candidates {
			if !who.May(access.View, c.Member.In()) {
				continue
			}
			l := candidateLine{
				Member: c.Member, To: cmp.Or(c.Mark, c.To.String()), Phase: string(c.Phase), Policy: c.Policy,
				Since: now.Sub(c.Changed).Round(time.Second).String() + " ago", Why: why(c),
			}
			if c.Phase != journal.AwaitingApproval {
				p.Candidates = append(p.Candidates, l)
				continue
			}
			if a := c.Answer; a != nil {
				l.Answer = yesNo(a.Yes) + " by " + a.By
			}
			p.Waiting = append(p.Waiting, l)
		}
		for _, h := range st.Holds {
			if !who.May(access.View, h.Member.In()) {
				continue
			}
			l := holdLine{Member: h.Member, To: cmp.Or(h.Mark, h.To.String()), Phase: string(h.Phase), Policy: h.Policy, Reason: h.Reason}
			if !h.Since.IsZero() {
				l.Since = now.Sub(h.Since).Round(time.Second).String() + " ago"
			}
			p.Holds = append(p.Holds, l)
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("Cache-Control", "no-store")
		if err := pageTemplate.Execute(w, p); err != nil {
			level.Debug(logger).Log("msg", "page was not read to its end", "err", err)
		}
	})
}

// why is in a few words why a candidate isn't taken out. Its details are in the
// journal.
func why(c journal.Hold) string {
	guard, rest, refused := strings.Cut(c.Refused, "/")
	reason, _, _ := strings.Cut(rest, "/")
	switch {
	case refused:
		return guard + ": " + strings.ReplaceAll(reason, "_", " ")
	case c.Released != "":
		return "given back by " + c.Released
	case c.Would != "":
		return "mode is " + c.Would + ": nothing was sent"
	}
	return ""
}
