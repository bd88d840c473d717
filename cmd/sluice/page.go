package main

import (
	"cmp"
	_ "embed" // the page
	"html/template"
	"net/http"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/claims"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// A page is what the remediator's own page shows. Nothing in it is secret.
type page struct {
	Base, Version, At string
	Mode, Frozen      string
	Claims            int
	Sources           []claims.Source
	Holds             []holdLine
}

type holdLine struct {
	Member                       edge.Member
	To                           edge.Admin
	Phase, Since, Policy, Reason string
}

// remediatorPage shows people how things stand and where all else is.
func remediatorPage(status func() remediator.Status, external string, logger log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		st := status()
		p := page{
			Base: external, Version: cmp.Or(version.Version, "unknown"), At: now.UTC().Format(time.RFC3339),
			Mode: st.Mode, Frozen: st.Frozen, Claims: st.Claims, Sources: st.Sources,
		}
		for _, h := range st.Holds {
			l := holdLine{Member: h.Member, To: h.To, Phase: string(h.Phase), Policy: h.Policy, Reason: h.Reason}
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
