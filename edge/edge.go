// Package edge holds the words that all of Sluice shares: what a device, a
// pool and a member are, the state that somebody put a member in, and what a
// device says of it now. It knows no protocol and imports nothing of ours.
package edge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Labels by which the read side names a member to the write side, the one by
// which an alert asks for a step, and those by which it does not: of a drill, and
// of what we tell people ourselves.
const (
	LabelDevice      = "device"
	LabelPool        = "pool"
	LabelMember      = "member"
	LabelRemediation = "remediation"
	LabelDrill       = "sluice_drill"
	LabelAnnouncedBy = "announced_by"
)

// Announcer is the value of [LabelAnnouncedBy] that our own alerts carry.
const Announcer = "sluice"

// A Pool is a set of members among which one device shares its traffic.
// HAProxy calls it a backend, PTAF an upstream, PTAF PRO a traffic profile.
type Pool struct{ Device, Name string }

// String returns "device/pool".
func (p Pool) String() string { return p.Device + "/" + p.Name }

// A Member is one upstream server as one device knows it. HAProxy calls the
// pool a backend and the member a server; PTAF calls them upstream and backend.
type Member struct {
	Device string `json:"device"`
	Pool   string `json:"pool"`
	Name   string `json:"member"`
}

// String returns "device/pool/member".
func (m Member) String() string { return m.Device + "/" + m.Pool + "/" + m.Name }

// In returns the pool that m belongs to.
func (m Member) In() Pool { return Pool{m.Device, m.Pool} }

// Compare orders members by device, pool and name, for [slices.SortFunc].
func (m Member) Compare(o Member) int {
	return cmp.Or(cmp.Compare(m.Device, o.Device), cmp.Compare(m.Pool, o.Pool), cmp.Compare(m.Name, o.Name))
}

// Admin is the state that somebody put a member in, weakest restriction first.
type Admin uint8

const (
	Ready Admin = iota // takes new traffic, as far as checks allow
	Drain              // keeps the connections it has, takes no new ones
	Maint              // takes nothing
)

var adminNames = [...]string{Ready: "ready", Drain: "drain", Maint: "maint"}

// String returns the word that users type: ready, drain or maint.
func (a Admin) String() string {
	if int(a) < len(adminNames) {
		return adminNames[a]
	}
	return fmt.Sprintf("admin(%d)", uint8(a))
}

// ErrAdmin says that a text is no admin state.
var ErrAdmin = errors.New("want ready, drain or maint")

// ParseAdmin is the inverse of [Admin.String]; case counts.
func ParseAdmin(s string) (Admin, error) {
	for a, name := range adminNames {
		if s == name {
			return Admin(a), nil
		}
	}
	return Ready, fmt.Errorf("admin state %q: %w", s, ErrAdmin)
}

// MarshalText makes an Admin a word in JSON and YAML.
func (a Admin) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is the inverse of [Admin.MarshalText].
func (a *Admin) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAdmin(string(b))
	return err
}

// A State is what a device says of one member at one moment. What was ordered
// (Admin, Marks) and what was found (Serving, Check) are kept apart.
type State struct {
	Member  Member `json:"member"`
	Address string `json:"address,omitempty"` // host:port as the device reaches it; empty when it doesn't say
	Admin   Admin  `json:"admin"`             // the strongest restriction in force, whoever set it

	// Marks is the device's own word for the admin state, whole: on HAProxy the
	// names of the srv_admin_state bits ("FDRAIN", "FMAINT|CMAINT"), empty when
	// none is set. Two reads with equal Marks and Weight found the member as
	// it was left; anything else was done by somebody.
	Marks string `json:"marks,omitempty"`

	// Settled says that the device's own configuration or DNS took the member
	// out (HAProxy: config "disabled" still in force, RMAINT). Such a member is
	// not in the base of a share.
	Settled bool `json:"settled,omitempty"`

	// OnOff says that the device knows in and out only (PTAF): drain and maint are
	// one there, and Admin shows it as Maint. See [State.Is].
	OnOff bool `json:"on_off,omitempty"`

	Serving bool   `json:"serving"` // takes new traffic now, by the device's word alone
	Backup  bool   `json:"backup,omitempty"`
	Weight  int    `json:"weight"`           // effective, by the device's word
	Share   int    `json:"share,omitempty"`  // configured weight, in rotation or not: its part of the pool's capacity; 0 where the device doesn't tell
	Check   Answer `json:"check"`            // the device's own health check; Unknown when there is none
	Agent   bool   `json:"agent,omitempty"`  // an agent on the member may change its state behind our back
	Tracks  string `json:"tracks,omitempty"` // "pool/member" whose state this one follows

	Sessions int    `json:"sessions"`        // established now
	Queue    int    `json:"queue"`           // waiting for this member now
	Limit    int    `json:"limit,omitempty"` // sessions that it takes at most, by the device's configuration; 0 where there is no limit or the device doesn't tell
	Chosen   uint64 `json:"chosen"`          // times that load balancing picked it since the device started (lbtot)

	// Answers is how many HTTP answers the device passed on from the member since it
	// started, failed connections and broken answers included, and Errors how many of
	// them were 5xx or none at all; both 0 where it doesn't count.
	Answers uint64 `json:"answers,omitempty"`
	Errors  uint64 `json:"errors,omitempty"`
}

// Is says whether the member is in the admin state that was ordered.
func (s State) Is(to Admin) bool {
	if s.OnOff && to != Ready {
		return s.Admin != Ready
	}
	return s.Admin == to
}

// A Snapshot is one whole answer of one device.
type Snapshot struct {
	Device string
	// Process tells one life of the device from the next (HAProxy: pid and start
	// time). When it changes, everything set at run time may be forgotten. Empty
	// where what is set stays set (PTAF).
	Process string
	At      time.Time // when the answer was complete
	States  map[Member]State

	// Switches are what a device has beside members that a step may change, such
	// as the protection of an application (PTAF PRO). Their Marks are the device's
	// own word for how they stand ("ACTIVE_PREVENTION"); they are never serving.
	Switches map[Member]State

	// Along has the members of other pools that are the same object on the device
	// (a PTAF PRO backend in several traffic profiles): a step on one moves all.
	Along map[Member][]Member

	// Versions names what each pool's next write would be built on. An [Order]
	// that carries it is refused when the pool has changed since.
	Versions map[string]string

	// ReadOnly says why no step can be taken on this device; empty when one can.
	ReadOnly string

	// Row is how the device itself wrote a member, for people to look at: a line of
	// "show stat", an object in JSON. Nil where it isn't kept.
	Row func(Member) string

	// Told is what the device tells of a member besides, worked out when it is
	// asked for. Nil where the device tells no more.
	Told func(Member) Told
}

// State finds a member or a switch.
func (s Snapshot) State(m Member) (State, bool) {
	if st, ok := s.States[m]; ok {
		return st, true
	}
	st, ok := s.Switches[m]
	return st, ok
}

// Pool returns the states of one pool, ordered by member.
func (s Snapshot) Pool(p Pool) []State {
	var out []State
	for m, st := range s.States {
		if m.In() == p {
			out = append(out, st)
		}
	}
	slices.SortFunc(out, func(a, b State) int { return a.Member.Compare(b.Member) })
	return out
}

// An Answer is yes, no or unknown. The zero value is Unknown, and Unknown never
// acts (SAFETY.md I6).
type Answer uint8

const (
	Unknown Answer = iota
	Yes
	No
)

var answerNames = [...]string{Unknown: "unknown", Yes: "yes", No: "no"}

// String returns unknown, yes or no.
func (a Answer) String() string {
	if int(a) < len(answerNames) {
		return answerNames[a]
	}
	return fmt.Sprintf("answer(%d)", uint8(a))
}

// MarshalText makes an Answer a word in JSON.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is the inverse of [Answer.MarshalText].
func (a *Answer) UnmarshalText(b []byte) error {
	for v, name := range answerNames {
		if string(b) == name {
			*a = Answer(v)
			return nil
		}
	}
	return fmt.Errorf("answer %q: want unknown, yes or no", b)
}
