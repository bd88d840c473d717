package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// mostDetails bounds for how many candidates the journal's entries are searched:
// behind that, a refusal is shown without its details.
const mostDetails = 100

// A candidate is a member that is claimed and judged, and not taken out.
type candidate struct {
	edge.Member
	ID          string          `json:"id"`
	Policy      string          `json:"policy"`
	To          edge.Admin      `json:"to"`
	Mark        string          `json:"mark,omitempty"` // of a switch, instead of To
	Bypass      bool            `json:"bypass,omitempty"`
	Phase       journal.Phase   `json:"phase"`
	Since       time.Time       `json:"since"` // of the phase
	Refusal     *guard.Refusal  `json:"refusal,omitempty"`
	Would       string          `json:"would,omitempty"` // the mode in which a step would have been taken, and wasn't
	WouldAt     time.Time       `json:"would_at,omitzero"`
	Released    string          `json:"released,omitempty"` // who had it given back while it was claimed
	Remediation string          `json:"remediation,omitempty"`
	Claims      []string        `json:"claims"`
	Answer      *journal.Answer `json:"answer,omitempty"` // a person's, not judged yet
	Seq         uint64          `json:"seq,omitempty"`    // of the entry that has the refusal, with all that was known
}

// An awaited step is a candidate that a person has to approve.
type awaited struct {
	candidate
	Reason   string          `json:"reason,omitempty"` // why the step is wanted
	Evidence json.RawMessage `json:"evidence,omitempty"`
	Counts   time.Time       `json:"answer_until"` // of an answer that is given now, or was
}

func candidateOf(h journal.Hold) candidate {
	c := candidate{
		Member: h.Member, ID: h.ID, Policy: h.Policy, To: h.To, Mark: h.Mark, Bypass: h.Bypass, Phase: h.Phase, Since: h.Changed,
		Would: h.Would, WouldAt: h.WouldAt, Released: h.Released, Remediation: h.Remediation, Claims: notNil(h.Claims), Answer: h.Answer,
	}
	if name, rest, ok := strings.Cut(h.Refused, "/"); ok {
		reason, _, _ := strings.Cut(rest, "/")
		c.Refusal = &guard.Refusal{Guard: name, Reason: reason}
	}
	return c
}

// refused finds the entry of the last refusal; nil when there is none.
func (o Options) refused(c *candidate) (*journal.Entry, error) {
	if c.Refusal == nil {
		return nil, nil
	}
	es, err := o.Journal.Entries(journal.Query{Hold: c.ID, Event: "refusal", Limit: 1})
	if err != nil || len(es) == 0 {
		return nil, err
	}
	e := es[0]
	c.Seq, c.Refusal = e.Seq, &guard.Refusal{Guard: e.Guard, Reason: e.Reason, Detail: e.Detail}
	return &e, nil
}

// candidatesFor are those that the caller may see.
func (o Options) candidatesFor(r *http.Request) ([]journal.Hold, error) {
	sees, err := viewer(r)
	if err != nil {
		return nil, err
	}
	hs, err := o.Journal.Candidates()
	if err != nil {
		return nil, unavailable(err)
	}
	return slices.DeleteFunc(hs, func(h journal.Hold) bool { return !sees(h.Member.In()) }), nil
}

// candidates answers GET /api/v1/candidates.
func (o Options) candidates(r *http.Request) (any, error) {
	hs, err := o.candidatesFor(r)
	if err != nil {
		return nil, err
	}
	list := make([]candidate, len(hs))
	for i, h := range hs {
		list[i] = candidateOf(h)
		if i >= mostDetails {
			continue
		}
		if _, err := o.refused(&list[i]); err != nil {
			return nil, unavailable(err)
		}
	}
	return struct {
		Candidates []candidate `json:"candidates"`
		Count      int         `json:"count"`
	}{list, len(list)}, nil
}

// approvals answers GET /api/v1/approvals: the steps that wait for a person's word.
func (o Options) approvals(r *http.Request) (any, error) {
	hs, err := o.candidatesFor(r)
	if err != nil {
		return nil, err
	}
	list := []awaited{}
	for _, h := range hs {
		if h.Phase != journal.AwaitingApproval {
			continue
		}
		a := awaited{candidate: candidateOf(h)}
		if a.Counts = time.Now().Add(o.Engine.AnswerTTL(h.Policy, h.Member)); h.Answer != nil {
			a.Counts = h.Answer.Until
		}
		if len(list) < mostDetails {
			e, err := o.refused(&a.candidate)
			if err != nil {
				return nil, unavailable(err)
			}
			if e != nil {
				a.Evidence, a.Reason = e.Evidence, wanted(e.Decision)
			}
		}
		list = append(list, a)
	}
	return struct {
		Approvals []awaited `json:"approvals"`
		Count     int       `json:"count"`
	}{list, len(list)}, nil
}

// wanted is why a step is wanted, by the guard that weighs the evidence.
func wanted(decision json.RawMessage) string {
	var d guard.Decision
	if json.Unmarshal(decision, &d) != nil {
		return "" // an older version's: it stands in the entry
	}
	for _, f := range d.Findings {
		if f.Guard == "evidence" {
			return f.Detail
		}
	}
	return ""
}

// answer answers POST /api/v1/approvals/{device}/{pool}/{member}, which takes
// {"approve": true} or {"approve": false, "reason": "..."}. The word is durable
// when the answer goes out; the guards judge the step again before it is taken.
func (o Options) answer(r *http.Request) (any, error) {
	m := edge.Member{Device: r.PathValue("device"), Pool: r.PathValue("pool"), Name: r.PathValue("member")}
	if err := may(r, access.Approve, m.In()); err != nil {
		return nil, err
	}
	var in struct {
		Approve *bool  `json:"approve"`
		Reason  string `json:"reason"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if in.Approve == nil {
		return nil, problem(http.StatusBadRequest, `want {"approve": true}, or {"approve": false, "reason": "why not"}`)
	}
	reason := ""
	if !*in.Approve || in.Reason != "" {
		var err error
		if reason, err = oneLine(in.Reason); err != nil {
			return nil, err
		}
	}
	err := o.Engine.Answer(r.Context(), m, *in.Approve, o.Actor(r), reason)
	switch p := (*problemError)(nil); {
	case errors.As(err, &p):
		return nil, err
	case errors.Is(err, journal.ErrConflict):
		return nil, problem(http.StatusConflict, "%s changes just now: look again, and then answer", cut(m.String()))
	case err != nil:
		return nil, unavailable(err)
	}
	o.Engine.Wake()
	return struct {
		edge.Member
		Approve bool   `json:"approve"`
		Status  string `json:"status"`
	}{m, *in.Approve, "recorded"}, nil
}
