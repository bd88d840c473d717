package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/journal"
)

// What people put in automation's way: freezes and claims.

// mostScopes bounds the list of what may be frozen by itself.
const mostScopes = 500

// freezePage is the body of the page of that name.
type freezePage struct {
	Scopes      []scope // that may be frozen by whoever looks
	May         bool
	Reason, For string // as they were sent, when something was wrong
	Scope       string
}

// A scope is everything, a device, or one pool of it.
type scope struct {
	edge.Pool
	Value string // in a form
	Depth int
}

func newScope(p edge.Pool) scope {
	s := scope{Pool: p}
	switch {
	case p.Name != "":
		s.Depth = 2
	case p.Device != "":
		s.Depth = 1
	}
	if s.Depth > 0 {
		s.Value = url.Values{"device": {p.Device}, "pool": {p.Name}}.Encode()
	}
	return s
}

// scopeOf is the inverse of newScope.
func scopeOf(value string) (p edge.Pool, err error) {
	if value == "" {
		return p, nil
	}
	q, err := url.ParseQuery(value)
	if p = (edge.Pool{Device: q.Get("device"), Name: q.Get("pool")}); err == nil && p.Device == "" {
		err = errors.New("no device")
	}
	return p, err
}

// freezeList answers GET /console/freeze.
func (c *console) freezeList(w http.ResponseWriter, r *http.Request) {
	p := c.page(r, "freeze")
	p.Live = true
	c.writeFreeze(w, r, p, http.StatusOK)
}

func (c *console) writeFreeze(w http.ResponseWriter, r *http.Request, p *page, code int) {
	b := freezePage{May: p.May.Freeze, Reason: cut(r.PostFormValue("reason"), maxReason), For: cut(r.PostFormValue("for"), 20), Scope: r.PostFormValue("scope")}
	if b.Scope == "" {
		b.Scope = newScope(edge.Pool{Device: r.URL.Query().Get("device"), Name: r.URL.Query().Get("pool")}).Value
	}
	if b.May {
		b.Scopes = c.scopes(r)
	}
	p.Body = b
	c.write(w, p, code, "freeze")
}

// scopes are what whoever looks may put something in the way of.
func (c *console) scopes(r *http.Request) (out []scope) {
	add := func(s edge.Pool) {
		if c.may(r, access.Freeze, s) && len(out) < mostScopes {
			out = append(out, newScope(s))
		}
	}
	add(edge.Pool{})
	roster, err := c.members(r, "")
	if err != nil {
		return out // everything can be stopped all the same
	}
	for _, d := range roster.Devices {
		add(edge.Pool{Device: d.Device})
		for _, one := range roster.Pools {
			if one.Device == d.Device {
				add(edge.Pool{Device: one.Device, Name: one.Pool})
			}
		}
	}
	return out
}

// freeze answers POST /console/freeze: stop automatic steps, or no longer.
func (c *console) freeze(w http.ResponseWriter, r *http.Request) {
	p := c.page(r, "freeze")
	wrong := func(code int, text string) {
		p.Problem = text
		c.writeFreeze(w, r, p, code)
	}
	on, err := scopeOf(r.PostFormValue("scope"))
	if err != nil {
		wrong(http.StatusBadRequest, p.T("bad_scope"))
		return
	}
	if c.forbidden(w, r, p, access.Freeze, on) {
		return
	}
	done := r.PostFormValue("do")
	switch done {
	case "thaw":
		err = c.Journal.ThawScope(on, p.Who)
	case "freeze":
		f := journal.Freeze{Device: on.Device, Pool: on.Name, Actor: p.Who, At: p.Now}
		if f.Reason, err = reasonOf(p, r); err == nil {
			f.Until, err = untilOf(p, r)
		}
		if err != nil {
			wrong(http.StatusBadRequest, err.Error())
			return
		}
		if on.Device != "" { // to freeze everything nobody has to be asked
			err = c.Engine.Knows(r.Context(), edge.Member{Device: on.Device, Pool: on.Name})
		}
		if err == nil {
			err = c.Journal.SetFreeze(f)
		}
	default:
		wrong(http.StatusBadRequest, p.T("bad_action"))
		return
	}
	if err != nil {
		wrong(codeOf(err), p.Cut(oneLine(err)))
		return
	}
	c.Engine.Wake()
	c.back(w, r, "/freeze", done)
}

// codeOf is what it means that something can't be put in the way.
func codeOf(err error) int {
	switch {
	case errors.Is(err, remediator.ErrNoDevice), errors.Is(err, remediator.ErrNoMember), errors.Is(err, journal.ErrNotClaimed):
		return http.StatusNotFound
	case errors.Is(err, journal.ErrTooMany):
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

// untilOf is when something ends; zero: when somebody ends it.
func untilOf(p *page, r *http.Request) (time.Time, error) {
	s := strings.TrimSpace(r.PostFormValue("for"))
	if s == "" {
		return time.Time{}, nil
	}
	d, err := model.ParseDuration(s)
	if err != nil || d <= 0 {
		return time.Time{}, errors.New(p.T("bad_for"))
	}
	return p.Now.Add(time.Duration(d)), nil
}

// claimOf is a person's claim on a member; nil when there is none.
func (p *page) claimOf(m edge.Member) *journal.Claimed {
	for i := range p.claimed {
		if p.claimed[i].Member == m {
			return &p.claimed[i]
		}
	}
	return nil
}

// claim makes a member a person's, or automation's again.
func (c *console) claim(w http.ResponseWriter, r *http.Request, p *page, m edge.Member, do string) {
	reason, err := reasonOf(p, r)
	claimed := journal.Claimed{Member: m, Reason: reason, Actor: p.Who, At: p.Now}
	if err == nil {
		claimed.Until, err = untilOf(p, r)
	}
	if err != nil {
		c.refused(w, r, p, http.StatusBadRequest, err.Error(), nil)
		return
	}
	if do == "claim" {
		err = c.Engine.Claim(r.Context(), claimed)
	} else {
		err = c.Engine.Unclaim(r.Context(), m, p.Who, reason)
	}
	if err != nil {
		c.refused(w, r, p, codeOf(err), oneLine(err), nil)
		return
	}
	c.back(w, r, "/member?"+memberQuery(m), do)
}
