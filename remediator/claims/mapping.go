package claims

import (
	"errors"
	"fmt"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"

	"github.com/sluice-project/sluice/edge"
)

// An Entry says which of other people's alerts are claims, and which of their
// labels hold the names. It is remediation.claims[] of the configuration.
type Entry struct {
	Match  []string // matchers, all of which must match: alertname="HostDown"
	Policy string

	// Names of labels. Where Address is empty, the others default to device, pool
	// and member; where it is set, only those that are set select beside it.
	Address, Device, Pool, Member string
}

// A Mapping turns the labels of alerts into claims. The zero Mapping knows our
// own labels only.
type Mapping struct{ rules []rule }

type rule struct {
	Entry
	matchers []*labels.Matcher
}

// NewMapping checks entries. Its error names the entry by its place.
func NewMapping(entries []Entry) (*Mapping, error) {
	m := new(Mapping)
	for i, e := range entries {
		ms, err := ParseMatchers(e.Match)
		if err != nil {
			return nil, fmt.Errorf("claims[%d]: %w", i, err)
		}
		if e.Policy == "" || e.Policy == Watchdog {
			return nil, fmt.Errorf("claims[%d]: policy is %q: want the name of a policy", i, e.Policy)
		}
		if e.Address == "" {
			e.Device = or(e.Device, edge.LabelDevice)
			e.Pool = or(e.Pool, edge.LabelPool)
			e.Member = or(e.Member, edge.LabelMember)
		}
		m.rules = append(m.rules, rule{e, ms})
	}
	return m, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// ErrMatchesAll says that matchers select alerts without looking at them.
var ErrMatchesAll = errors.New(`every matcher also matches an alert without the label: one must not, such as alertname="HostDown"`)

// ParseMatchers reads matchers as Alertmanager does since 0.27: UTF-8 label
// names quoted, and else the classic form. A list that is empty, or that selects
// alerts without any of the labels, is refused: no selector is not all (I2).
func ParseMatchers(texts []string) ([]*labels.Matcher, error) {
	var out []*labels.Matcher
	picks := false
	for _, text := range texts {
		m, err := parse.Matcher(text)
		if err != nil {
			m, err = labels.ParseMatcher(text)
		}
		if err != nil {
			return nil, fmt.Errorf("matcher %q: want name, one of = != =~ !~, and a quoted value, such as alertname=\"HostDown\"", text)
		}
		picks = picks || !m.Matches("")
		out = append(out, m)
	}
	switch {
	case len(out) == 0:
		return nil, errors.New(`match is empty: want matchers, such as alertname="HostDown"`)
	case !picks:
		return nil, ErrMatchesAll
	}
	return out, nil
}

// Wants says whether an alert with these labels asks for anything, or is the
// watchdog.
func (m *Mapping) Wants(ls map[string]string) bool {
	_, ok := m.policy(ls)
	return ok
}

// Claim returns what an alert with these labels asks for. The watchdog asks for
// nothing. An alert that lacks names is a claim all the same, to be refused by
// name later on.
func (m *Mapping) Claim(ls map[string]string) (Claim, bool) {
	e, ok := m.policy(ls)
	if !ok || e.Policy == Watchdog {
		return Claim{}, false
	}
	c := Claim{
		Labels: ls,
		Key:    Key(ls),
		Policy: e.Policy,
		Drill:  ls[edge.LabelDrill],
		Member: edge.Member{Device: value(ls, e.Device), Pool: value(ls, e.Pool), Name: value(ls, e.Member)},
	}
	c.Address = value(ls, e.Address)
	c.PoolOnly = c.Address == "" && e.Address == "" && c.Member.Pool != "" && c.Member.Name == ""
	return c, true
}

// policy returns the entry that rules an alert: its own label before any
// entry, then the first entry that matches. What we say ourselves asks for nothing,
// whatever matchers select: a step would be the cause of the next.
func (m *Mapping) policy(ls map[string]string) (Entry, bool) {
	if ls[edge.LabelAnnouncedBy] == edge.Announcer {
		return Entry{}, false
	}
	if p := ls[edge.LabelRemediation]; p != "" {
		return Entry{Policy: p, Device: edge.LabelDevice, Pool: edge.LabelPool, Member: edge.LabelMember}, true
	}
	for _, r := range m.rules {
		if r.matches(ls) {
			return r.Entry, true
		}
	}
	return Entry{}, false
}

func (r rule) matches(ls map[string]string) bool {
	for _, m := range r.matchers {
		if !m.Matches(ls[m.Name]) {
			return false
		}
	}
	return true
}

func value(ls map[string]string, name string) string {
	if name == "" {
		return ""
	}
	return ls[name]
}

// filters are the questions for Alertmanager's API: one for our own label, and
// one for each entry.
func (m *Mapping) filters() [][]string {
	out := [][]string{{edge.LabelRemediation + `=~".+"`}}
	for _, r := range m.rules {
		var f []string
		for _, m := range r.matchers {
			f = append(f, m.String())
		}
		out = append(out, f)
	}
	return out
}
