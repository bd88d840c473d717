package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A Member is one member as the remediator shows it.
type Member struct {
	edge.State
	Set       *SetBy    `json:"set"` // nil: in service, and nobody is known to have seen to that
	Op        string    `json:"op"`  // the operational state in the device's words; empty where it doesn't tell
	OpSince   time.Time `json:"op_since"`
	Errors5xx *float64  `json:"errors_5xx"` // part of its answers that were 5xx or none at all, from 0 to 1; nil where it isn't known

	Claimed     *journal.Claimed `json:"claimed"`     // whose hands it is in
	Maintenance []string         `json:"maintenance"` // windows that are in force for it

	raw json.RawMessage // all that the remediator said, also what we don't know
}

// SetBy is whose doing a member's admin state is.
type SetBy struct {
	By     string        `json:"by"` // sluice, person, device, unknown
	Actor  string        `json:"actor"`
	Since  time.Time     `json:"since"`
	Reason string        `json:"reason"`
	Policy string        `json:"policy"`
	Hold   string        `json:"hold"`
	Phase  journal.Phase `json:"phase"`
}

// UnmarshalJSON keeps the text beside what it means.
func (m *Member) UnmarshalJSON(b []byte) error {
	type plain Member
	if err := json.Unmarshal(b, (*plain)(m)); err != nil {
		return err
	}
	m.raw = append([]byte(nil), b...)
	return nil
}

// MarshalJSON gives the text back as it came.
func (m Member) MarshalJSON() ([]byte, error) {
	if m.raw != nil {
		return m.raw, nil
	}
	type plain Member
	return json.Marshal(plain(m))
}

// A Device is one device as the remediator sees it.
type Device struct {
	Device   string    `json:"device"`
	Kind     string    `json:"kind,omitempty"`
	At       time.Time `json:"at,omitzero"`         // of what is shown of it
	ReadOnly string    `json:"read_only,omitempty"` // why no step can be taken on it
	Error    string    `json:"error,omitempty"`     // why none of its members is listed
}

// A Roster is members with the devices that they are of.
type Roster struct {
	Devices []Device `json:"devices"`
	Members []Member `json:"members"`
	Count   int      `json:"count"`
	Next    string   `json:"next,omitempty"`
}

// Members are those of a device and pool; an empty name is all of them.
func (c *Client) Members(ctx context.Context, device, pool string) (Roster, error) {
	return c.roster(ctx, edge.Member{Device: device, Pool: pool})
}

// roster asks for all pages; an empty part of which is any.
func (c *Client) roster(ctx context.Context, which edge.Member) (Roster, error) {
	all := Roster{Devices: []Device{}, Members: []Member{}}
	v := set(url.Values{}, "device", which.Device, "pool", which.Pool, "member", which.Name)
	for first := true; ; first = false {
		var page Roster
		if err := c.Get(ctx, Path("members"), v, &page); err != nil {
			return Roster{}, err
		}
		if first {
			all.Devices = append(all.Devices, page.Devices...) // each page names them all
		}
		all.Members = append(all.Members, page.Members...)
		all.Count = len(all.Members)
		if page.Next == "" || len(page.Members) == 0 {
			return all, nil
		}
		v.Set("cursor", page.Next)
	}
}

// Ordered is what came of a person's step.
type Ordered struct {
	Member   edge.Member    `json:"member"`
	Order    string         `json:"order,omitempty"`
	Decision guard.Decision `json:"decision"`
	Written  bool           `json:"written"`
	Result   string         `json:"result"` // applied, unchanged, dry_run, refused, failed, superseded, replanned, indeterminate
	Detail   string         `json:"detail"`
	Before   *edge.State    `json:"before,omitempty"`
	After    *edge.State    `json:"after,omitempty"`
}

// An Ask is what a person wants of one member: a state, or a weight.
type Ask struct {
	To       edge.Admin
	Weight   int // above 0: the weight, and To doesn't count
	Percent  int // above 0: of the configured weight
	Reason   string
	Override []string // soft guards
}

// Order asks for a person's step on a member. A guard's no is an [Error] with a
// [Error.Refusal].
func (c *Client) Order(ctx context.Context, m edge.Member, a Ask) (Ordered, error) {
	in := map[string]any{}
	what := a.To.String()
	if a.Weight > 0 {
		what, in["weight"] = "weight", a.Weight
	}
	if a.Percent > 0 {
		what, in["percent"] = "weight", a.Percent
	}
	if a.Reason != "" {
		in["reason"] = a.Reason
	}
	if len(a.Override) > 0 {
		in["override"] = a.Override
	}
	var out Ordered
	err := c.Post(ctx, Path("members", m.Device, m.Pool, m.Name, what), in, &out)
	return out, err
}

// fetch asks for what there is one of, and keeps the answer as it came beside what
// it means.
func fetch[T any](ctx context.Context, c *Client, path string, v url.Values) (out T, raw json.RawMessage, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err = c.Get(ctx, path, v, &raw); err == nil {
		err = json.Unmarshal(raw, &out)
	}
	return out, raw, err
}

// A list is what a path lists, all pages of it together.
type list[T any] struct {
	key   string            // under which the rows stand
	rows  []T               // what they mean
	given []json.RawMessage // as they came
}

// MarshalJSON is one page of all rows.
func (l list[T]) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(append([]json.RawMessage{}, l.given...)) // [], and not null
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{%q:%s,"count":%d}`, l.key, b, len(l.given)), nil
}

// fetchList asks for pages until there is no further one, or most rows are there; 0
// is no limit.
func fetchList[T any](ctx context.Context, c *Client, key string, v url.Values, most int) (list[T], error) {
	all := list[T]{key: key}
	for {
		page, _, err := fetch[map[string]json.RawMessage](ctx, c, Path(key), v)
		if err != nil {
			return all, err
		}
		var rows []T
		var given []json.RawMessage
		var next string
		err = errors.Join(unmarshal(page[key], &rows), unmarshal(page[key], &given), unmarshal(page["next"], &next))
		if err != nil {
			return all, fmt.Errorf("the remediator at %s: %s: %w", c.base, key, err)
		}
		all.rows, all.given = append(all.rows, rows...), append(all.given, given...)
		if most > 0 && len(all.rows) >= most {
			all.rows, all.given = all.rows[:most], all.given[:most]
			return all, nil
		}
		if next == "" {
			return all, nil
		}
		v.Set("cursor", next)
	}
}

// unmarshal is that of JSON, for what may be missing.
func unmarshal(b json.RawMessage, to any) error {
	if b == nil {
		return nil
	}
	return json.Unmarshal(b, to)
}

// Holds are the members that the remediator holds out, or is about to.
func (c *Client) Holds(ctx context.Context) ([]journal.Hold, error) {
	var out struct{ Holds []journal.Hold }
	err := c.Get(ctx, Path("holds"), nil, &out)
	return out.Holds, err
}

// Release asks for a hold to be given back.
func (c *Client) Release(ctx context.Context, m edge.Member, reason string) error {
	in := map[string]string{}
	if reason != "" {
		in["reason"] = reason
	}
	return c.Post(ctx, Path("holds", m.Device, m.Pool, m.Name, "release"), in, new(json.RawMessage))
}

// Steps are entries of the journal, oldest first; v has the API's parameters.
func (c *Client) Steps(ctx context.Context, v url.Values) ([]journal.Entry, error) {
	var out struct{ Steps []journal.Entry }
	err := c.Get(ctx, Path("steps"), v, &out)
	return out.Steps, err
}

// A Waiting step is one that a person has to approve.
type Waiting struct {
	edge.Member
	ID      string         `json:"id"`
	Policy  string         `json:"policy"`
	To      edge.Admin     `json:"to"`
	Mark    string         `json:"mark"`
	Since   time.Time      `json:"since"`
	Refusal *guard.Refusal `json:"refusal"`
	Reason  string         `json:"reason"`
	Until   time.Time      `json:"answer_until"`
	Answer  *struct {
		By    string    `json:"by"`
		Until time.Time `json:"until"`
		Yes   bool      `json:"yes"`
	} `json:"answer"`
}

// Answer gives a person's word on a step that waits for it. A no wants a reason.
func (c *Client) Answer(ctx context.Context, m edge.Member, yes bool, reason string) error {
	in := map[string]any{"approve": yes}
	if reason != "" {
		in["reason"] = reason
	}
	return c.Post(ctx, Path("approvals", m.Device, m.Pool, m.Name), in, new(json.RawMessage))
}

// set puts pairs of name and value into v, without those that are empty.
func set(v url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}
