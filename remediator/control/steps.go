package control

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Bounds on lists.
const (
	defaultLimit = 100
	maxLimit     = 10_000
	pageBytes    = 4 << 20 // of entries, as the journal has them
	mostLooked   = 20_000  // entries that one page costs at most, few as it may find
)

// Filters of entries, and what else steps takes.
var (
	entryFilters   = []string{"device", "pool", "member", "policy", "since", "until", "order"}
	refusalFilters = append([]string{"guard", "reason"}, entryFilters...)
	stepFilters    = append([]string{"event", "hold", "remediation", "images", "first", "after"}, refusalFilters...)
)

// steps answers GET /api/v1/steps: the journal's entries. Its filters are device,
// pool, member, policy, event, guard, reason, hold and remediation, each by the whole
// word, and since and until (RFC 3339, or a length of time before now; not before
// since, and before until).
//
// With order, newest or oldest, the list goes by pages: limit (100, at most 10000) is
// the length of one, and next is what cursor is to be for the one that follows, with
// the same filters. A page may be shorter than limit, even empty, and not the last:
// the last has an empty next. Entries that are appended or pruned between two pages
// make none of the others come twice or not at all.
//
// Without order and cursor it is the newest so many (limit), oldest first, and next
// is empty. first, instead of limit, is for who wants all of them: the oldest so many,
// or fewer when they are large, behind the seq that after names; a page without any
// is the end. after goes with each of the ways.
//
//	{"steps": [{"seq": 17, "at": "2026-01-02T15:04:05Z", "event": "step", "member": {"device": "edge1",
//	  "pool": "shop", "member": "s1"}, "hold": "h3", "policy": "drain", "admin": "drain",
//	  "result": "applied", "detail": "read back as drain (FDRAIN)"}], "count": 1, "next": ""}
//
// An entry has what the event is about, see [journal.Entry]; all but seq, at and event
// may be missing. The objects around a write, before and after, are left out unless
// images is 1.
func (o Options) steps(r *http.Request) (any, error) {
	sees, err := viewer(r)
	if err != nil {
		return nil, err
	}
	l, err := list(r, time.Now(), defaultLimit, stepFilters...)
	if err != nil {
		return nil, err
	}
	p, err := l.entries(sees)
	if err != nil {
		return nil, err
	}
	if images := l.values.Get("images"); l.values.Has("images") && images != "1" && images != "0" {
		return nil, wrong(l.values, "images", "1 or 0")
	}
	var es []journal.Entry
	next := ""
	switch {
	case l.values.Has("first"):
		es, err = o.firstSteps(l, p)
	case l.order == "":
		es, err = o.lastSteps(l, p)
	default:
		es, next, err = o.entryPage(l, p)
	}
	if err != nil {
		return nil, err
	}
	if l.values.Get("images") != "1" {
		withoutImages(es)
	}
	return struct {
		Steps []journal.Entry `json:"steps"`
		Count int             `json:"count"`
		Next  string          `json:"next"`
	}{notNil(es), len(es), next}, nil
}

// refusals answers GET /api/v1/refusals: entries of steps that a guard refused, by
// pages as steps has them, newest first unless order is oldest. Its filters are
// device, pool, member, policy, guard, reason, since and until.
//
//	{"refusals": [{"seq": 18, "at": "2026-01-02T15:04:05Z", "event": "refusal", "member": {"device":
//	  "edge1", "pool": "shop", "member": "s2"}, "policy": "drain", "admin": "drain", "result": "refused",
//	  "guard": "min_serving", "reason": "too_few_left", "detail": "1 of 3 would be left"}],
//	  "count": 1, "next": ""}
//
// A step of automation that is refused again and again is entered when its guard or
// reason changes; a person's is entered each time, with actor.
func (o Options) refusals(r *http.Request) (any, error) {
	sees, err := viewer(r)
	if err != nil {
		return nil, err
	}
	l, err := list(r, time.Now(), defaultLimit, refusalFilters...)
	if err != nil {
		return nil, err
	}
	p, err := l.entries(func(p edge.Pool) bool { return sees(p) })
	if err != nil {
		return nil, err
	}
	p.Newest = l.order != "oldest"
	seen := p.Keep
	p.Keep = func(e *journal.Entry) bool { return e.Guard != "" && seen(e) }
	es, next, err := o.entryPage(l, p)
	if err != nil {
		return nil, err
	}
	withoutImages(es)
	return struct {
		Refusals []journal.Entry `json:"refusals"`
		Count    int             `json:"count"`
		Next     string          `json:"next"`
	}{notNil(es), len(es), next}, nil
}

func withoutImages(es []journal.Entry) {
	for i := range es {
		es[i].Before, es[i].After = nil, nil
	}
}

// entries is the page of the journal that the parameters ask for.
func (l *listing) entries(sees func(edge.Pool) bool) (p journal.Page, err error) {
	get := l.values.Get
	p = journal.Page{Newest: l.order == "newest", Keep: seesEntry(sees), Look: mostLooked, MaxBytes: pageBytes}
	p.Query = journal.Query{
		Member: edge.Member{Device: get("device"), Pool: get("pool"), Name: get("member")},
		Policy: get("policy"), Event: get("event"), Guard: get("guard"), Reason: get("reason"), Hold: get("hold"),
		Remediation: get("remediation"), Limit: l.limit,
	}
	if p.Since, p.Until, err = l.span(); err != nil {
		return p, err
	}
	if l.values.Has("after") {
		if p.After, err = strconv.ParseUint(get("after"), 10, 64); err != nil {
			return p, wrong(l.values, "after", "the seq of a step")
		}
	}
	if l.after != "" {
		if p.From, err = strconv.ParseUint(l.after, 10, 64); err != nil || p.From == 0 {
			return p, problem(http.StatusBadRequest, "cursor: %v", errCursor)
		}
	}
	return p, nil
}

// entryPage is one page, with the cursor of the next.
func (o Options) entryPage(l *listing, p journal.Page) (es []journal.Entry, next string, err error) {
	es, seq, err := o.Journal.Page(p)
	if err != nil {
		return nil, "", unavailable(err)
	}
	if seq > 0 {
		next = l.next(strconv.FormatUint(seq, 10))
	}
	return es, next, nil
}

// lastSteps are the newest so many, oldest first, however many have to be looked at.
func (o Options) lastSteps(l *listing, p journal.Page) ([]journal.Entry, error) {
	p.Newest, p.Look, p.MaxBytes = true, 0, 0
	es, _, err := o.entryPage(l, p)
	slices.Reverse(es)
	return es, err
}

// firstSteps are the oldest so many, or as many as make a page.
func (o Options) firstSteps(l *listing, p journal.Page) ([]journal.Entry, error) {
	for _, other := range []string{"limit", "order", "cursor"} {
		if l.values.Has(other) {
			return nil, problem(http.StatusBadRequest, "%s and first: give one of them", other)
		}
	}
	var err error
	if p.Limit, err = strconv.Atoi(l.values.Get("first")); err != nil || p.Limit < 1 || p.Limit > maxLimit {
		return nil, wrong(l.values, "first", "a number from 1 to "+strconv.Itoa(maxLimit))
	}
	p.Look = 0 // who reads on by after takes an empty page for the end
	es, _, err := o.entryPage(l, p)
	return es, err
}
