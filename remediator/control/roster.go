package control

import (
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A Roster is devices with their pools and members, as they were looked at for
// people: now, or within the last second.
type Roster struct {
	Devices []Device `json:"devices"`
	Pools   []Pool   `json:"-"` // GET /pools has them
	Members []Member `json:"members"`
	Count   int      `json:"count"` // of the members
	Next    string   `json:"next"`  // cursor of the next page; empty at the end
}

// A Device is one device as it was looked at.
type Device struct {
	Device   string    `json:"device"`
	Kind     string    `json:"kind"`                // haproxy, ptaf or ptaf_pro, as in the configuration
	Up       bool      `json:"up"`                  // it gave an answer
	Error    string    `json:"error,omitempty"`     // why it is listed without pools and members
	At       time.Time `json:"at,omitzero"`         // of what is shown of it
	ReadOnly string    `json:"read_only,omitempty"` // why no step can be taken there
	Pools    int       `json:"pools"`
	Members  int       `json:"members"`
	Held     int       `json:"held"` // members of it that are held by sluice now

	Last []string `json:"-"` // names of the pools that it had when it gave an answer last
}

// Had says whether any of the device's pools, as far as they are known, is one that
// somebody sees.
func (d Device) Had(sees func(edge.Pool) bool) bool {
	return slices.ContainsFunc(d.Last, func(pool string) bool { return sees(edge.Pool{Device: d.Device, Name: pool}) })
}

// A Pool is one pool, and how careful the configuration is with it.
type Pool struct {
	Device      string   `json:"device"`
	Pool        string   `json:"pool"`
	Members     int      `json:"members"`
	Serving     int      `json:"serving"`               // by the device's word
	Out         int      `json:"out"`                   // in drain or maint, whoever put them there
	Held        int      `json:"held"`                  // by sluice
	Policy      string   `json:"policy,omitempty"`      // the first that takes members of it out
	MinServing  string   `json:"min_serving,omitempty"` // that policy's: a count or a share
	Frozen      bool     `json:"frozen"`                // automation takes no step in it
	Maintenance []string `json:"maintenance"`           // names of the windows in force for any of its members
}

// A Member is one member with whose doing its state is.
type Member struct {
	edge.State
	Set *SetBy `json:"set,omitempty"` // nil: in service, and nobody is known to have seen to that

	Op         string    `json:"op,omitempty"`                // what was found, in the device's own words: "UP", "DOWN 1/2"
	OpSince    time.Time `json:"op_since,omitzero"`           // when it last turned from up to down or back
	Checked    string    `json:"last_check,omitempty"`        // outcome of the device's last check, in its own words: "L4CON"
	Configured int       `json:"configured_weight,omitempty"` // whatever is set now; left out where the device doesn't say

	// Errors5xx is the part of its answers that were 5xx or none at all, from 0 to 1;
	// left out where nothing was answered or the device doesn't count. It is of the
	// last ErrorsOver, or since the device began to count where that is left out.
	Errors5xx  *float64 `json:"errors_5xx,omitempty"`
	ErrorsOver string   `json:"errors_5xx_over,omitempty"` // "58s"

	Claimed     *journal.Claimed `json:"claimed,omitempty"`     // by a person: automation takes no step on it
	Maintenance []string         `json:"maintenance,omitempty"` // names of the windows in force for it
}

// SetBy is whose doing a member's admin state is.
type SetBy struct {
	By     string        `json:"by"` // sluice, person (through us), device (its configuration or DNS), unknown
	Actor  string        `json:"actor,omitempty"`
	Since  time.Time     `json:"since,omitzero"`
	Reason string        `json:"reason,omitempty"`
	Policy string        `json:"policy,omitempty"`
	Hold   string        `json:"hold,omitempty"`
	Phase  journal.Phase `json:"phase,omitempty"`
}
