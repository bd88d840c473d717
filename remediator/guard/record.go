package guard

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/sluice-project/sluice/edge"
)

// A World is kept with each step and refusal, so that people see later what was
// known, and replay can decide again. What concerns neither the step's pool nor
// those that it moves along is left out, and so is what no guard looks at: the answers
// that members gave. See [World.Around].

// Around returns the part of the world that a step on m is judged by.
func (w World) Around(m edge.Member) World {
	pools := map[edge.Pool]bool{m.In(): true}
	for _, other := range w.Snapshot.Along[m] {
		pools[other.In()] = true
	}
	far := func(m edge.Member) bool { return !pools[m.In()] }
	w.Snapshot.States = without(w.Snapshot.States, far)
	w.Snapshot.Switches = without(w.Snapshot.Switches, far)
	w.Snapshot.Along = without(w.Snapshot.Along, func(other edge.Member) bool { return other != m })
	w.Snapshot.Versions, w.Snapshot.Row, w.Snapshot.Told = nil, nil, nil
	w.Held, w.Own = without(w.Held, far), without(w.Own, far)
	for m, e := range w.Own { // the step's own evidence is kept beside the world, whole
		e.Body, e.Stages = "", nil
		w.Own[m] = e
	}
	return w
}

func without[V any](in map[edge.Member]V, drop func(edge.Member) bool) map[edge.Member]V {
	out := map[edge.Member]V{}
	for m, v := range in {
		if !drop(m) {
			out[m] = v
		}
	}
	return out
}

// byMember is a map as JSON has it: a list, ordered by member.
type byMember[V any] map[edge.Member]V

type pair[V any] struct {
	Of edge.Member `json:"of"`
	Is V           `json:"is"`
}

// MarshalJSON writes the list.
func (b byMember[V]) MarshalJSON() ([]byte, error) {
	list := []pair[V]{}
	for _, m := range slices.SortedFunc(maps.Keys(b), edge.Member.Compare) {
		list = append(list, pair[V]{m, b[m]})
	}
	return json.Marshal(list)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *byMember[V]) UnmarshalJSON(raw []byte) error {
	var list []pair[V]
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	*b = map[edge.Member]V{}
	for _, p := range list {
		(*b)[p.Of] = p.Is
	}
	return nil
}

// plain is a World, and seen its snapshot, without their own ways to JSON.
type (
	plain World
	seen  edge.Snapshot
)

type snapshotRecord struct {
	seen
	States   byMember[edge.State]
	Switches byMember[edge.State]    `json:",omitempty"`
	Along    byMember[[]edge.Member] `json:",omitempty"`
	Row      *struct{}               `json:",omitempty"` // how the device wrote it is no part of the world
	Told     *struct{}               `json:",omitempty"` // nor is what it tells people
}

type worldRecord struct {
	plain
	Snapshot snapshotRecord
	Held     byMember[Held]     `json:",omitempty"`
	Own      byMember[Evidence] `json:",omitempty"`
	Along    byMember[*Policy]  `json:",omitempty"`
	Standby  byMember[bool]     `json:",omitempty"`
	Onsets   byMember[Onset]    `json:",omitempty"`
	Spent    spentRecord
}

type spentRecord struct {
	Held, Steps int
	Pool        []poolCount `json:",omitempty"`
}

type poolCount struct {
	Pool  edge.Pool
	Steps int
}

// MarshalJSON writes all that Decide may look at.
func (w World) MarshalJSON() ([]byte, error) {
	s := w.Snapshot
	rec := worldRecord{
		plain: plain(w), Snapshot: snapshotRecord{seen: seen(s), States: s.States, Switches: s.Switches, Along: s.Along},
		Held: w.Held, Own: w.Own, Along: w.Along, Standby: w.Standby, Onsets: w.Onsets,
		Spent: spentRecord{Held: w.Spent.Held, Steps: w.Spent.Steps},
	}
	for p, n := range w.Spent.Pool {
		rec.Spent.Pool = append(rec.Spent.Pool, poolCount{p, n})
	}
	slices.SortFunc(rec.Spent.Pool, func(a, b poolCount) int {
		return cmp.Or(cmp.Compare(a.Pool.Device, b.Pool.Device), cmp.Compare(a.Pool.Name, b.Pool.Name))
	})
	return json.Marshal(rec)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (w *World) UnmarshalJSON(raw []byte) error {
	var rec worldRecord
	if err := json.Unmarshal(raw, &rec); err != nil {
		return err
	}
	*w = World(rec.plain)
	w.Snapshot = edge.Snapshot(rec.Snapshot.seen)
	w.Snapshot.States, w.Snapshot.Switches, w.Snapshot.Along = rec.Snapshot.States, rec.Snapshot.Switches, rec.Snapshot.Along
	w.Held, w.Own, w.Along, w.Standby, w.Onsets = rec.Held, rec.Own, rec.Along, rec.Standby, rec.Onsets
	w.Spent = Spent{Held: rec.Spent.Held, Steps: rec.Spent.Steps, Pool: map[edge.Pool]int{}}
	for _, p := range rec.Spent.Pool {
		w.Spent.Pool[p.Pool] = p.Steps
	}
	return nil
}
