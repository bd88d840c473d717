package journal

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Hold is a member that we took out, or are about to: what it was before,
// what we left, why, and until when. There is at most one for each member
// (SAFETY.md I9), and it is in the journal before the first byte goes to the
// device (I11).
//
// Before its intent it is a candidate: a member that is claimed and judged, and
// that nothing has been done to yet. See [Journal.Candidates].
//
// The journal sets ID and Rev. All else is the engine's, which alone changes it.
type Hold struct {
	ID     string      `json:"id"`  // "h17"; given by the first Put, never used again in this file
	Rev    uint64      `json:"rev"` // 0 before the first Put; each Put wants the last one and raises it
	Member edge.Member `json:"member"`
	Policy string      `json:"policy"`
	To     edge.Admin  `json:"to"`
	Mark   string      `json:"mark,omitempty"` // of a switch, instead of To: the device's own word that it got
	Phase  Phase       `json:"phase"`

	// Via are phases that were gone through since the last Put, with nothing in
	// between that a crash could interrupt: each is checked and entered like Phase.
	Via []Phase `json:"-"`

	// Goal is what the command in hand asks for when it is neither the first step out
	// nor the way back; nil otherwise. NextStage is the stage that it leads to.
	Goal      *Goal     `json:"goal,omitempty"`
	NextStage string    `json:"next_stage,omitempty"`
	Stage     string    `json:"stage,omitempty"`    // draining, probation, or empty
	StageAt   time.Time `json:"stage_at,omitzero"`  // when it began
	StageNo   int       `json:"stage_no,omitempty"` // of the weights that it comes back by
	Direct    bool      `json:"direct,omitempty"`   // it comes back at once: the device refused a lower weight
	Relapses  int       `json:"relapses,omitempty"` // times that it failed again while it came back

	Effect *Effect `json:"effect,omitempty"` // what the step out is measured by
	Picked *uint64 `json:"picked,omitempty"` // times that load balancing had picked the member when it was to be given back

	Handed string `json:"handed,omitempty"` // of a hold: who claimed its member; it is given up as soon as no command of it is in hand

	Released string    `json:"released,omitempty"` // of a candidate: who had it given back, or took it over, while it was claimed
	Refused  string    `json:"refused,omitempty"`  // of a candidate: "guard/reason" of the refusal that was recorded last
	Would    string    `json:"would,omitempty"`    // of a candidate: the mode in which it would have been taken out, and wasn't
	WouldAt  time.Time `json:"would_at,omitzero"`
	Answer   *Answer   `json:"answer,omitempty"`   // of a candidate that awaits approval: what a person said
	Approved *Answer   `json:"approved,omitempty"` // the word that let the step through, where one was wanted

	// Along are members of other pools that are the same object on the device:
	// the one step moved them all, and each pool's budget counts it.
	Along []edge.Member `json:"along,omitempty"`

	// Bypass says that the member, or switch, was brought in as a way round a pool
	// whose members all fail; giving it back puts it out again.
	Bypass bool `json:"bypass,omitempty"`

	// Remediation is shared by all steps that came of one claim while it lasted,
	// on however many devices.
	Remediation string `json:"remediation,omitempty"`

	Preimage edge.State `json:"preimage"`       // as read just before the intent: what a release gives back (I8)
	Left     edge.State `json:"left"`           // as read back after the step: anything else was somebody else (I7)
	Process  string     `json:"process"`        // life of the device in which Left was read
	Undo     bool       `json:"undo,omitempty"` // Intent, Applying, Indeterminate and Failed are of the way back

	Intent     time.Time       `json:"intent"`               // when the intent became durable
	Deadline   time.Time       `json:"deadline,omitzero"`    // of the command in hand; after it the outcome is read back
	Since      time.Time       `json:"since,omitzero"`       // when the read-back first found the member out
	LeaseUntil time.Time       `json:"lease_until,omitzero"` // renewed by fresh evidence only (I13)
	MaxUntil   time.Time       `json:"max_until,omitzero"`   // hard end, never moved
	GoodSince  time.Time       `json:"good_since,omitzero"`  // first of the unbroken good results; zero after a bad one
	GoodCount  int             `json:"good_count,omitempty"` // good results in a row
	ClaimSeen  time.Time       `json:"claim_seen,omitzero"`  // last time that a claim on the member was seen
	Changed    time.Time       `json:"changed,omitzero"`     // last change of Phase; set by Put
	RetryAt    time.Time       `json:"retry_at,omitzero"`    // not before, after a failure
	Claims     []string        `json:"claims,omitempty"`     // keys of the claims behind the step
	Reason     string          `json:"reason,omitempty"`     // for people, one line
	Config     string          `json:"config,omitempty"`     // hash of the configuration that decided
	ReleaseBy  string          `json:"release_by,omitempty"` // who asked for the release by hand; empty when nobody did
	ReleaseAt  time.Time       `json:"release_at,omitzero"`  // when they asked
	Paged      time.Time       `json:"paged,omitzero"`       // when an escalation was last recorded
	Note       string          `json:"note,omitempty"`       // the engine's, one line
	Decision   json.RawMessage `json:"decision,omitempty"`   // JSON of the decision that led here, for replay
	Reapplied  int             `json:"reapplied,omitempty"`  // times that a new process of the device made us apply again
	Superseded string          `json:"superseded,omitempty"` // what was found instead of Left
}

// The stages of a hold beside plainly holding.
const (
	StageDraining  = "draining"  // drained, and maint when its sessions have ended
	StageProbation = "probation" // in again with little weight, and watched
)

// A Goal is a state to be put in.
type Goal struct {
	To    edge.Admin `json:"to"`
	Share int        `json:"share,omitempty"` // configured weight; 0 leaves it
}

// An Effect is what was counted when a member was taken out, and what came of it.
type Effect struct {
	Chosen uint64  `json:"chosen"` // times that load balancing had picked the member
	Before float64 `json:"before"` // share of 5xx in the pool before the step, in percent; below 0 when it isn't known
	Result string  `json:"result,omitempty"`
}

// An Answer is a person's word on one step. It serves once (SAFETY.md I17).
type Answer struct {
	By    string    `json:"by"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"` // it is worth nothing afterwards
	Yes   bool      `json:"yes"`
	Note  string    `json:"note,omitempty"`
}

func holdID(n uint64) string { return "h" + strconv.FormatUint(n, 10) }

// number is the inverse of holdID.
func (h Hold) number() (uint64, error) {
	return strconv.ParseUint(strings.TrimPrefix(h.ID, "h"), 10, 64)
}

// Holds says whether m is the hold's member, or moved along with it.
func (h Hold) Holds(m edge.Member) bool { return h.Member == m || slices.Contains(h.Along, m) }

// clone returns a hold that shares nothing that a caller may change.
func (h Hold) clone() Hold {
	h.Along, h.Claims, h.Decision = slices.Clone(h.Along), slices.Clone(h.Claims), slices.Clone(h.Decision)
	if h.Goal != nil {
		g := *h.Goal
		h.Goal = &g
	}
	if h.Effect != nil {
		e := *h.Effect
		h.Effect = &e
	}
	if h.Picked != nil {
		n := *h.Picked
		h.Picked = &n
	}
	if h.Answer != nil {
		a := *h.Answer
		h.Answer = &a
	}
	if h.Approved != nil {
		a := *h.Approved
		h.Approved = &a
	}
	return h
}
