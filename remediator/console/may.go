package console

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/access/session"
)

// identify fills in who looks at the page, and what they may.
func (c *console) identify(p *page, r *http.Request) {
	i := access.From(r.Context())
	p.Who = cmp.Or(i.Name, sender(r))
	if i.Via != access.ViaOpen {
		p.Roles = strings.Join(i.Roles, ", ")
	}
	p.Token, p.Session = session.CSRF(r), i.Via == access.ViaSession
	p.May = may{
		Order: i.MaySomewhere(access.Order), Approve: i.MaySomewhere(access.Approve), Freeze: i.MaySomewhere(access.Freeze),
	}
}

// may says whether whoever sent the request may do something to a pool.
func (c *console) may(r *http.Request, v access.Verb, p edge.Pool) bool {
	return access.From(r.Context()).May(v, p)
}

// seesScope: that everything is frozen is for everybody.
func (c *console) seesScope(r *http.Request, scope edge.Pool) bool {
	i := access.From(r.Context())
	return scope.Device == "" || scope.Name == "" && i.MayOnDevice(access.View, scope.Device) || scope.Name != "" && i.May(access.View, scope)
}

func (c *console) sees(r *http.Request, p edge.Pool) bool { return c.may(r, access.View, p) }

// forbidden answers those who may not, and says which role is missing.
func (c *console) forbidden(w http.ResponseWriter, r *http.Request, p *page, v access.Verb, on edge.Pool) bool {
	err := access.From(r.Context()).Check(v, on)
	if err == nil {
		return false
	}
	p.Title, p.Problem = p.T("forbidden"), p.T("forbidden_"+string(v))+" ("+p.Cut(oneLine(err))+")"
	c.write(w, p, http.StatusForbidden, "problem")
	return true
}

// sender names whoever didn't have to say who they are.
func sender(r *http.Request) string {
	if user, _, ok := r.BasicAuth(); ok && user != "" {
		return user
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a unix socket has no port
	}
	return host
}

func escape(s string) string { return url.QueryEscape(s) }
