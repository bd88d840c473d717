package journal

import (
	"encoding/json"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// An Entry is one thing that happened, or that was refused (SAFETY.md I23).
// Entries are never changed; the oldest go when the retention ends.
type Entry struct {
	Seq    uint64       `json:"seq"` // the journal's, from 1, without gaps while none are pruned
	At     time.Time    `json:"at"`  // now, when left zero
	Event  string       `json:"event"`
	Member *edge.Member `json:"member,omitempty"` // the hold's, when left nil
	Hold   string       `json:"hold,omitempty"`   // id; set by Put and Drop
	From   Phase        `json:"from,omitempty"`   // set by Put and Drop
	To     Phase        `json:"to,omitempty"`     // set by Put and Drop
	Policy string       `json:"policy,omitempty"`
	Admin  string       `json:"admin,omitempty"`  // the state asked for
	Result string       `json:"result,omitempty"` // applied, failed, indeterminate, superseded, dry_run, observed, refused
	Guard  string       `json:"guard,omitempty"`  // which guard refused
	Reason string       `json:"reason,omitempty"` // a word that metrics can carry
	Detail string       `json:"detail,omitempty"` // one line for people
	Config string       `json:"config,omitempty"` // hash of the configuration in force
	Actor  string       `json:"actor,omitempty"`  // a person or program by name; empty is the engine itself

	Remediation string `json:"remediation,omitempty"` // the hold's, when left empty

	// Order ties a person's order, which is of event "order" and is its intent, to
	// the "step" that says what became of it. Share is the weight that they asked for.
	Order string `json:"order,omitempty"`
	Share int    `json:"share,omitempty"`

	Along []edge.Member `json:"along,omitempty"` // members of other pools that the step moved too

	// Before and After are the device's own object around a write, byte for byte,
	// of devices that have whole ones. Entries of event "image" carry them.
	Before []byte `json:"before,omitempty"`
	After  []byte `json:"after,omitempty"`

	// Preimage and Left are of entries that take a member out: how it stood before,
	// and how it was read back. By these alone a person can put it back.
	Preimage *edge.State `json:"preimage,omitempty"`
	Left     *edge.State `json:"left,omitempty"`

	Row      string          `json:"row,omitempty"` // the member as the device itself wrote it, at most 4 KiB: a line of "show stat"
	Evidence json.RawMessage `json:"evidence,omitempty"`
	Decision json.RawMessage `json:"decision,omitempty"` // what each guard said
	World    json.RawMessage `json:"world,omitempty"`    // what the guards were told: what replay decides again
}

// A Query selects entries. The zero Query selects all.
type Query struct {
	Since  time.Time   // not before
	Until  time.Time   // before; zero is no bound
	After  uint64      // only with a greater Seq
	Member edge.Member // a part left empty matches any
	Hold   string      // id
	Event  string
	Policy string
	Guard  string // which refused
	Reason string // a refusal's

	Remediation string

	Limit int // the newest so many; 0 is no limit
}

func (q Query) selects(e *Entry) bool {
	switch {
	case e.At.Before(q.Since), !q.Until.IsZero() && !e.At.Before(q.Until):
		return false
	case !matches(q.Hold, e.Hold), !matches(q.Event, e.Event), !matches(q.Remediation, e.Remediation),
		!matches(q.Policy, e.Policy), !matches(q.Guard, e.Guard), !matches(q.Reason, e.Reason):
		return false
	case q.Member == edge.Member{}:
		return true
	case e.Member == nil:
		return false
	}
	return matches(q.Member.Device, e.Member.Device) && matches(q.Member.Pool, e.Member.Pool) &&
		matches(q.Member.Name, e.Member.Name)
}

func matches(want, have string) bool { return want == "" || want == have }
