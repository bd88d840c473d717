package control

import (
	"net/http"
	"slices"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/journal"
)

// mostHistory is how many entries of a member are shown with it.
const mostHistory = 50

// aMember is all that there is to tell of one member.
type aMember struct {
	Device    Device           `json:"device"`
	Member    *Member          `json:"member,omitempty"`    // nil: the device gives no answer, or doesn't list it any more
	Hold      *journal.Hold    `json:"hold,omitempty"`      // nil: not held by sluice
	Candidate *candidate       `json:"candidate,omitempty"` // nil: not claimed by an alert, or held
	Claimed   *journal.Claimed `json:"claimed,omitempty"`   // nil: no person has
	Windows   []string         `json:"windows"`             // of maintenance in force for it, by name
	Steps     []journal.Entry  `json:"steps"`               // newest first
}

// member answers GET /api/v1/members/{device}/{pool}/{member}: one member with its
// history. It takes no parameter.
//
//	{"device": {... as GET /devices has it},
//	 "member": {... as GET /members has it},
//	 "hold": {... as GET /holds has it},
//	 "candidate": {... as GET /candidates has it},
//	 "claimed": {"member": {...}, "reason": "a new disk", "actor": "ann", "at": "2026-01-02T15:04:05Z",
//	   "until": "2026-01-02T16:04:05Z"},
//	 "windows": ["backup"],
//	 "steps": [... the newest 50 as GET /steps has them, newest first]}
//
// member is missing when the device gives no answer, which device.error says, or
// doesn't list it any more; hold, candidate and claimed where there is none. hold may
// be one that moved the member along. 404 is for what neither a device that answers nor the journal knows. steps are
// looked for among the newest 20000 entries: GET /steps goes further.
func (o Options) member(r *http.Request) (any, error) {
	m := edge.Member{Device: r.PathValue("device"), Pool: r.PathValue("pool"), Name: r.PathValue("member")}
	if err := may(r, access.View, m.In()); err != nil {
		return nil, err
	}
	if r.URL.RawQuery != "" {
		return nil, problem(http.StatusBadRequest, "a member takes no parameters")
	}
	out := aMember{Windows: []string{}}
	if err := o.records(&out, m); err != nil {
		return nil, unavailable(err)
	}
	roster, err := o.Engine.Members(r.Context(), m.Device, m.Pool)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(roster.Members, func(one Member) bool { return one.Member == m }); i >= 0 {
		out.Member = &roster.Members[i]
		out.Windows = notNil(out.Member.Maintenance)
	}
	if len(roster.Devices) > 0 {
		out.Device = roster.Devices[0]
	}
	if answered := len(roster.Devices) == 0 || out.Device.Up; out.Member == nil && answered && out.Hold == nil && out.Candidate == nil && len(out.Steps) == 0 {
		return nil, problem(http.StatusNotFound, "no member %q", cut(m.String()))
	}
	return out, nil
}

// records fills in what the journal has of a member.
func (o Options) records(out *aMember, m edge.Member) error {
	holds, err := o.Journal.Holds()
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(holds, func(h journal.Hold) bool { return h.Holds(m) }); i >= 0 {
		out.Hold = &holds[i]
	}
	candidates, err := o.Journal.Candidates()
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(candidates, func(h journal.Hold) bool { return h.Member == m }); i >= 0 {
		c := candidateOf(candidates[i])
		if _, err := o.refused(&c); err != nil {
			return err
		}
		out.Candidate = &c
	}
	b, err := o.Journal.Barriers()
	if err != nil {
		return err
	}
	out.Claimed = b.Claims(m)
	es, _, err := o.Journal.Page(journal.Page{Newest: true, Look: mostLooked, MaxBytes: pageBytes, Query: journal.Query{Member: m, Limit: mostHistory}})
	withoutImages(es)
	out.Steps = notNil(es)
	return err
}
