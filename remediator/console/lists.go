package console

import (
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Bounds on lists.
const (
	mostListed   = 200
	mostEntries  = 50  // of a member's history
	mostRefusals = 100 // newest ones
	mostLooked   = 20_000
)

// held is one hold and what it waits for.
type held struct {
	journal.Hold
	Awaits []template.HTML
	May    bool // give it back
}

// Goal is what was made of the member.
func (h held) Goal() string { return goal(h.Hold) }

func goal(h journal.Hold) string {
	if h.Mark != "" {
		return h.Mark
	}
	return h.To.String()
}

func (c *console) heldOf(p *page, r *http.Request, h journal.Hold) held {
	one := held{Hold: h, May: c.may(r, access.Order, h.Member.In())}
	for _, a := range c.Engine.Awaits(h) {
		one.Awaits = append(one.Awaits, p.await(a))
	}
	return one
}

// listed is the body of a page that lists, with what has no room there.
type listed[T any] struct {
	List []T
	More int
}

func bounded[T any](all []T, most int) listed[T] {
	if len(all) > most {
		return listed[T]{all[:most], len(all) - most}
	}
	return listed[T]{List: all}
}

// holds answers GET /console/holds.
func (c *console) holds(w http.ResponseWriter, r *http.Request) {
	p := c.page(r, "holds")
	p.Live = true
	all, err := c.Journal.Holds()
	if err != nil {
		c.fail(w, p, http.StatusServiceUnavailable, err)
		return
	}
	all = slices.DeleteFunc(slices.Clone(all), func(h journal.Hold) bool { return !c.sees(r, h.Member.In()) })
	short := bounded(all, mostListed)
	body := listed[held]{More: short.More}
	for _, h := range short.List {
		body.List = append(body.List, c.heldOf(p, r, h))
	}
	p.Body = body
	c.write(w, p, http.StatusOK, "holds")
}

// awaited is a step that a person has to approve.
type awaited struct {
	journal.Hold
	Why    string // it is wanted
	Detail string // what the guard says
	Until  time.Time
	May    bool
}

func (a awaited) Goal() string { return goal(a.Hold) }

// approvals answers GET /console/approvals.
func (c *console) approvals(w http.ResponseWriter, r *http.Request) {
	p := c.page(r, "approvals")
	p.Live = true
	all, err := c.Journal.Candidates()
	if err != nil {
		c.fail(w, p, http.StatusServiceUnavailable, err)
		return
	}
	all = slices.DeleteFunc(slices.Clone(all), func(h journal.Hold) bool {
		return h.Phase != journal.AwaitingApproval || !c.sees(r, h.Member.In())
	})
	short := bounded(all, mostListed)
	body := listed[awaited]{More: short.More}
	for _, h := range short.List {
		a := awaited{Hold: h, May: c.may(r, access.Approve, h.Member.In()), Until: p.Now.Add(c.Engine.AnswerTTL(h.Policy, h.Member))}
		if h.Answer != nil {
			a.Until = h.Answer.Until
		}
		es, err := c.Journal.Entries(journal.Query{Hold: h.ID, Event: "refusal", Limit: 1})
		if err != nil {
			c.fail(w, p, http.StatusServiceUnavailable, err)
			return
		}
		for _, e := range es {
			a.Detail, a.Why = e.Detail, said(e.Decision, "evidence")
		}
		body.List = append(body.List, a)
	}
	p.Body = body
	c.write(w, p, http.StatusOK, "approvals")
}

// said is what one guard said in a recorded decision.
func said(decision json.RawMessage, name string) string {
	var d guard.Decision
	if json.Unmarshal(decision, &d) != nil {
		return "" // an older version's: it stands in the entry
	}
	for _, f := range d.Findings {
		if f.Guard == name {
			return f.Detail
		}
	}
	return ""
}

// refusals answers GET /console/refusals: the newest first.
func (c *console) refusals(w http.ResponseWriter, r *http.Request) {
	p := c.page(r, "refusals")
	p.Live = true
	es, _, err := c.Journal.Page(journal.Page{
		Query: journal.Query{Event: "refusal", Limit: mostRefusals}, Newest: true, Look: mostLooked,
		Keep: func(e *journal.Entry) bool { return c.seesEntry(r, *e) },
	})
	if err != nil {
		c.fail(w, p, http.StatusServiceUnavailable, err)
		return
	}
	p.Body = listed[journal.Entry]{List: es}
	c.write(w, p, http.StatusOK, "refusals")
}

// seesEntry: what is about no member in particular is for those who see all.
func (c *console) seesEntry(r *http.Request, e journal.Entry) bool {
	if e.Member == nil {
		return c.sees(r, edge.Pool{})
	}
	return c.sees(r, e.Member.In())
}

// memberOf is the member that a request names.
func memberOf(r *http.Request) edge.Member {
	return edge.Member{Device: r.FormValue("device"), Pool: r.FormValue("pool"), Name: r.FormValue("member")}
}

// fail answers with an error that isn't the caller's.
func (c *console) fail(w http.ResponseWriter, p *page, code int, err error) {
	p.Problem = p.Cut(oneLine(err))
	c.write(w, p, code, "problem")
}

// oneLine is an error's text on one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
