package ctl

import (
	"context"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// ShowHolds lists what the remediator holds.
func (s *Session) ShowHolds(ctx context.Context, e Entries) error {
	v, err := e.query()
	if err != nil {
		return err
	}
	out, err := fetchList[journal.Hold](ctx, s.Client, "holds", v, 0)
	if err != nil {
		return err
	}
	now := time.Now()
	return s.Show(out, func(w io.Writer) error {
		header := []string{"HOLD", "MEMBER", "TO", "PHASE", "FOR", "POLICY", "NOT LONGER THAN", "REASON"}
		return listed(w, out.rows, "nothing is held", header, func(h journal.Hold) []string {
			return []string{h.ID, Name(h.Member), goal(h.To, h.Mark), string(h.Phase), age(h.Since, now), h.Policy, stamp(h.MaxUntil), h.Reason}
		})
	})
}

// goal is the state that is asked for, or the device's own word of a switch.
func goal(to edge.Admin, mark string) string {
	if mark != "" {
		return mark
	}
	return to.String()
}

// A waiting step is one that a person has to approve.
type waiting struct {
	edge.Member
	Policy  string         `json:"policy"`
	To      edge.Admin     `json:"to"`
	Mark    string         `json:"mark"`
	Since   time.Time      `json:"since"`
	Refusal *guard.Refusal `json:"refusal"`
	Reason  string         `json:"reason"`
	Answer  *struct {
		By    string    `json:"by"`
		Until time.Time `json:"until"`
		Yes   bool      `json:"yes"`
	} `json:"answer"`
}

// ShowApprovals lists the steps that wait for a person's word.
func (s *Session) ShowApprovals(ctx context.Context) error {
	out, err := fetchList[waiting](ctx, s.Client, "approvals", url.Values{}, 0)
	if err != nil {
		return err
	}
	now := time.Now()
	return s.Show(out, func(w io.Writer) error {
		header := []string{"MEMBER", "TO", "WAITS FOR", "POLICY", "ANSWER", "REASON"}
		return listed(w, out.rows, "nothing waits for approval", header, func(a waiting) []string {
			answer := ""
			if a.Answer != nil {
				answer = "no"
				if a.Answer.Yes {
					answer = "yes"
				}
				answer += " by " + a.Answer.By + " until " + stamp(a.Answer.Until)
			}
			return []string{Name(a.Member), goal(a.To, a.Mark), age(a.Since, now), a.Policy, answer, a.Reason}
		})
	})
}

// ShowRefusals lists the steps that guards said no to, the newest last.
func (s *Session) ShowRefusals(ctx context.Context, e Entries) error {
	v, err := e.query()
	if err != nil {
		return err
	}
	out, err := fetchList[journal.Entry](ctx, s.Client, "refusals", v, e.Limit)
	if err != nil {
		return err
	}
	slices.Reverse(out.rows) // the API begins with the newest
	slices.Reverse(out.given)
	return s.Show(out, func(w io.Writer) error {
		header := []string{"SEQ", "TIME", "MEMBER", "TO", "GUARD", "REASON", "DETAIL", "BY"}
		return listed(w, out.rows, "no refusals", header, func(r journal.Entry) []string {
			c := cells(r)
			return []string{c[0], c[1], c[2], r.Admin, r.Guard, r.Reason, r.Detail, r.Actor}
		})
	})
}

// ShowClaimed lists the members that people have taken into their own hands.
func (s *Session) ShowClaimed(ctx context.Context) error {
	out, err := fetchList[journal.Claimed](ctx, s.Client, "claimed", url.Values{}, 0)
	if err != nil {
		return err
	}
	return s.Show(out, func(w io.Writer) error {
		return listed(w, out.rows, "nothing is claimed", []string{"MEMBER", "BY", "SINCE", "UNTIL", "REASON"}, func(c journal.Claimed) []string {
			return []string{Name(c.Member), c.Actor, stamp(c.At), lifted(c.Until), c.Reason}
		})
	})
}

// Who says who the remediator takes this for.
func (s *Session) Who(ctx context.Context) error {
	out, raw, err := fetch[struct {
		Name  string          `json:"name"`
		Via   string          `json:"via"`
		Roles []string        `json:"roles"`
		May   map[string]bool `json:"may"`
	}](ctx, s.Client, Path("whoami"), url.Values{})
	if err != nil {
		return err
	}
	var may []string
	for _, verb := range []string{"view", "order", "approve", "freeze", "restore", "reload"} {
		if out.May[verb] {
			may = append(may, verb)
		}
	}
	return s.line(raw, "%s by %s, roles: %s; may: %s", out.Name, out.Via, words(out.Roles), words(may))
}

// words are a list in a sentence.
func words(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
