package console

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// maxReason bounds a reason, in characters: it is shown in one line.
const maxReason = 300

// memberPage is the body of a member's page.
type memberPage struct {
	edge.Member
	Known     bool
	Sick      string // why its device can't be read
	ReadOnly  string
	Node      node
	Others    []node // the same member on other devices
	Hold      *held
	Candidate *journal.Hold
	Claimed   *journal.Claimed
	Steps     []journal.Entry // newest first
	May       bool

	Reason string // as it was sent, when the step was refused
	Do     string
	Weight string
	Tried  *tried
}

// tried is a step that wasn't taken, and what would let it through.
type tried struct {
	Line     string
	No       []guard.Finding // each guard that says no
	Override []string        // soft ones, when no other says no
}

// member answers GET /console/member?device=&pool=&member=.
func (c *console) member(w http.ResponseWriter, r *http.Request) {
	c.writeMember(w, r, c.page(r, "member"), http.StatusOK, nil)
}

func (c *console) writeMember(w http.ResponseWriter, r *http.Request, p *page, code int, with func(*memberPage)) {
	m := memberOf(r)
	p.Live, p.Title = true, p.Short(m.Name)
	p.Here = "/" + strings.TrimPrefix(p.Member(m), p.Base+"/")
	b := memberPage{Member: m, Claimed: p.claimOf(m), May: c.may(r, access.Order, m.In())}
	if c.forbidden(w, r, p, access.View, m.In()) {
		return
	}
	if m.Device == "" || m.Pool == "" || m.Name == "" { // which would be any, to the journal
		p.Title, p.Problem = p.T("no_page"), p.T("no_page_text")
		c.write(w, p, http.StatusNotFound, "problem")
		return
	}
	roster, err := c.members(r, m.Pool)
	if err != nil {
		c.fail(w, p, http.StatusServiceUnavailable, err)
		return
	}
	for _, one := range roster.Members {
		n := p.nodeOf(one)
		switch {
		case one.Member == m:
			b.Known, b.Node = true, n
		case one.Member.Name == m.Name && c.sees(r, one.Member.In()):
			b.Others = append(b.Others, n)
		}
	}
	for _, d := range roster.Devices {
		if d.Device == m.Device {
			b.Sick, b.ReadOnly = d.Error, d.ReadOnly
		}
	}
	if err := c.remembered(p, r, &b); err != nil {
		c.fail(w, p, http.StatusServiceUnavailable, err)
		return
	}
	if !b.Known && b.Sick == "" && len(b.Steps) == 0 {
		p.Title, p.Problem = p.T("no_page"), p.T("no_member", p.Cut(m.String()))
		c.write(w, p, http.StatusNotFound, "problem")
		return
	}
	if with != nil {
		with(&b)
	}
	p.Body = b
	c.write(w, p, code, "member")
}

// remembered fills in what the journal has of a member.
func (c *console) remembered(p *page, r *http.Request, b *memberPage) error {
	holds, err := c.Journal.Holds()
	if err != nil {
		return err
	}
	for _, h := range holds {
		if h.Holds(b.Member) {
			one := c.heldOf(p, r, h)
			b.Hold = &one
		}
	}
	candidates, err := c.Journal.Candidates()
	if err != nil {
		return err
	}
	for _, h := range candidates {
		if h.Member == b.Member {
			b.Candidate = &h
		}
	}
	b.Steps, err = c.Journal.Entries(journal.Query{Member: b.Member, Limit: mostEntries})
	b.Steps = slices.Clone(b.Steps)
	slices.Reverse(b.Steps)
	return err
}

// order answers POST /console/member: a step on one member, or a claim on it.
func (c *console) order(w http.ResponseWriter, r *http.Request) {
	p, m := c.page(r, "member"), memberOf(r)
	if c.forbidden(w, r, p, access.Order, m.In()) {
		return
	}
	if do := r.PostFormValue("do"); do == "claim" || do == "unclaim" {
		c.claim(w, r, p, m, do)
		return
	}
	o := remediator.PersonOrder{Member: m, Override: r.PostForm["override"], Actor: p.Who}
	var err error
	if o.Reason, err = reasonOf(p, r); err == nil {
		err = goalOf(p, r, &o)
	}
	if err != nil {
		c.refused(w, r, p, http.StatusBadRequest, err.Error(), nil)
		return
	}
	out, err := c.Engine.Order(r.Context(), o)
	switch {
	case errors.Is(err, remediator.ErrNoDevice):
		c.refused(w, r, p, http.StatusNotFound, oneLine(err), nil)
	case errors.Is(err, remediator.ErrOverride), errors.Is(err, remediator.ErrWeight):
		c.refused(w, r, p, http.StatusBadRequest, oneLine(err), nil)
	case err != nil:
		c.refused(w, r, p, http.StatusServiceUnavailable, oneLine(err), nil)
	case out.Result == "applied" || out.Result == "unchanged" || out.Result == "dry_run":
		c.back(w, r, "/member?"+memberQuery(m), out.Result)
	case out.Decision.Refusal != nil:
		c.refused(w, r, p, http.StatusConflict, "", &out.Decision)
	default:
		c.refused(w, r, p, http.StatusBadGateway, p.T("outcome_"+out.Result)+": "+out.Detail, nil)
	}
}

func memberQuery(m edge.Member) string {
	return "device=" + escape(m.Device) + "&pool=" + escape(m.Pool) + "&member=" + escape(m.Name)
}

// refused shows the member again, with what was asked for and why it wasn't done.
func (c *console) refused(w http.ResponseWriter, r *http.Request, p *page, code int, why string, d *guard.Decision) {
	t := &tried{Line: cut(why, 400)}
	if d != nil {
		t.No = noes(*d)
		t.Override = overridable(t.No)
	}
	c.writeMember(w, r, p, code, func(b *memberPage) {
		b.Tried, b.Reason, b.Do, b.Weight = t, cut(r.PostFormValue("reason"), maxReason), r.PostFormValue("do"), cut(r.PostFormValue("weight"), 10)
	})
}

// noes are the guards that said no, and weren't overridden.
func noes(d guard.Decision) (out []guard.Finding) {
	for _, f := range d.Findings {
		if !f.OK && f.Reason != "" {
			out = append(out, f)
		}
	}
	return out
}

// overridable are the guards whose no a person may take upon themselves, if no
// other says no too: those that were overridden already among them.
func overridable(no []guard.Finding) (out []string) {
	for _, f := range no {
		if guard.Bearings[f.Guard] != guard.Soft {
			return nil
		}
		out = append(out, f.Guard)
	}
	return out
}

// goalOf reads what is asked for.
func goalOf(p *page, r *http.Request, o *remediator.PersonOrder) (err error) {
	do := r.PostFormValue("do")
	if do == "weight" {
		if o.Share, err = strconv.Atoi(strings.TrimSpace(r.PostFormValue("weight"))); err != nil || o.Share < 1 {
			return errors.New(p.T("bad_weight"))
		}
		return nil
	}
	if o.To, err = edge.ParseAdmin(do); err != nil {
		return errors.New(p.T("bad_action"))
	}
	return nil
}

// reasonOf is why somebody wants something, which people will read in one line.
func reasonOf(p *page, r *http.Request) (string, error) {
	s := strings.TrimSpace(r.PostFormValue("reason"))
	switch {
	case s == "":
		return "", errors.New(p.T("reason_missing"))
	case utf8.RuneCountInString(s) > maxReason:
		return "", errors.New(p.T("reason_long", maxReason))
	case strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }):
		return "", errors.New(p.T("reason_odd"))
	}
	return s, nil
}

// release answers POST /console/holds: a hold is given back by a person's word.
func (c *console) release(w http.ResponseWriter, r *http.Request) {
	p, m := c.page(r, "holds"), memberOf(r)
	if c.forbidden(w, r, p, access.Order, m.In()) {
		return
	}
	reason, err := reasonOf(p, r)
	if err != nil {
		c.fail(w, p, http.StatusBadRequest, err)
		return
	}
	switch err := c.Engine.Release(r.Context(), m, p.Who, reason); {
	case errors.Is(err, journal.ErrNoHold):
		c.fail(w, p, http.StatusNotFound, errors.New(p.T("no_hold", p.Cut(m.String()))))
	case err != nil:
		c.fail(w, p, http.StatusServiceUnavailable, err)
	default:
		c.Engine.Wake()
		c.back(w, r, r.PostFormValue("back"), "release")
	}
}

// answer answers POST /console/approvals: a person's word on a step that waits for it.
func (c *console) answer(w http.ResponseWriter, r *http.Request) {
	p, m := c.page(r, "approvals"), memberOf(r)
	if c.forbidden(w, r, p, access.Approve, m.In()) {
		return
	}
	do := r.PostFormValue("do")
	reason, err := reasonOf(p, r)
	switch {
	case do != "approve" && do != "reject":
		err = errors.New(p.T("bad_action"))
	case do == "approve" && strings.TrimSpace(r.PostFormValue("reason")) == "":
		err = nil // a yes needs no word more
	}
	if err != nil {
		c.fail(w, p, http.StatusBadRequest, err)
		return
	}
	switch err := c.Engine.Answer(r.Context(), m, do == "approve", p.Who, reason); {
	case errors.Is(err, remediator.ErrNotAsked):
		c.fail(w, p, http.StatusNotFound, errors.New(p.T("not_asked", p.Cut(m.String()))))
	case errors.Is(err, journal.ErrConflict):
		c.fail(w, p, http.StatusConflict, errors.New(p.T("conflict")))
	case err != nil:
		c.fail(w, p, http.StatusServiceUnavailable, err)
	default:
		c.Engine.Wake()
		c.back(w, r, "/approvals", do)
	}
}
