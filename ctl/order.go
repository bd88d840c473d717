package ctl

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/edge"
)

// Step puts the member that a name means in a state, or gives it a weight.
func (s *Session) Step(ctx context.Context, name string, a Ask) error {
	m, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	out, err := s.order(ctx, m, a)
	if err != nil {
		return err
	}
	return s.line(out, "%s", sentence(m, a, out))
}

func (s *Session) find(ctx context.Context, name string) (edge.Member, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.Client.Find(ctx, name)
}

// order asks for one step, which isn't cut off once it is sent: its outcome would
// not be known.
func (s *Session) order(ctx context.Context, m edge.Member, a Ask) (Ordered, error) {
	if err := ctx.Err(); err != nil {
		return Ordered{}, err
	}
	ctx, cancel := firm(ctx)
	defer cancel()
	out, err := s.Client.Order(ctx, m, a)
	if err != nil {
		return out, told(m, a.goal(), err)
	}
	return out, nil
}

// goal is what is asked for, in a word or two.
func (a Ask) goal() string {
	switch {
	case a.Percent > 0:
		return fmt.Sprintf("weight %d%%", a.Percent)
	case a.Weight > 0:
		return fmt.Sprintf("weight %d", a.Weight)
	}
	return a.To.String()
}

func sentence(m edge.Member, a Ask, out Ordered) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %s", Name(m), out.Result, a.goal())
	switch {
	case out.Result == "unchanged" || out.Before == nil:
	case a.Weight > 0 || a.Percent > 0:
		fmt.Fprintf(&b, ", was %d", out.Before.Share)
	default:
		fmt.Fprintf(&b, ", was %s", out.Before.Admin)
	}
	if out.Result == "dry_run" {
		b.WriteString(" (" + out.Detail + ")")
	}
	for _, f := range out.Decision.Findings {
		if f.Overridden {
			fmt.Fprintf(&b, "; over guard %s: %s", f.Guard, f.Detail)
		}
	}
	return b.String()
}

// ParseWeight reads a weight: a number from 1 on, or percent of the configured one.
func ParseWeight(text string) (Ask, error) {
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return Ask{}, fmt.Errorf("weight %q: want a number from 1 on, or 25%% of the configured one; to take a member out, drain it", text)
	}
	if percent {
		return Ask{Percent: n}, nil
	}
	return Ask{Weight: n}, nil
}

// Approve gives a person's word on the step that waits for it.
func (s *Session) Approve(ctx context.Context, name string, yes bool, reason string) error {
	word := "approved"
	if !yes {
		word = "rejected"
	}
	return s.tell(ctx, name, word, func(ctx context.Context, m edge.Member) error {
		return s.Client.Answer(ctx, m, yes, reason)
	})
}

// GiveBack asks for a hold to be given back.
func (s *Session) GiveBack(ctx context.Context, name, reason string) error {
	return s.tell(ctx, name, "requested", func(ctx context.Context, m edge.Member) error {
		return s.Client.Release(ctx, m, reason)
	})
}

// tell has something done about the member that a name means, and says so.
func (s *Session) tell(ctx context.Context, name, word string, do func(context.Context, edge.Member) error) error {
	m, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	sent, cancel := firm(ctx)
	defer cancel()
	if err := do(sent, m); err != nil {
		return fmt.Errorf("%s: %w", Name(m), err)
	}
	return s.line(struct {
		edge.Member
		Status string `json:"status"`
	}{m, word}, "%s: %s", Name(m), word)
}
