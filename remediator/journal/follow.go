package journal

import "sync"

// A Part of a journal can be followed, and so can several, added up.
type Part uint

// The parts.
const (
	PartState   Part = 1 << iota // what people put in the way: freezes, claimed members, windows
	PartHolds                    // the holds
	PartEntries                  // the entries
	PartHints                    // the hints
)

var partOf = map[bucket]Part{bucketState: PartState, bucketHolds: PartHolds, bucketEntries: PartEntries, bucketHints: PartHints}

// Follow returns a channel that gets a value soon after one of the parts has
// changed for good, and a function that ends that. Many changes may come as one
// value, and one change as two; a value is no proof of a change, either. On
// etcd the other replicas' changes count too, and come within milliseconds.
//
// Who follows the entries reads what is new by Query{After: last seq seen}, once
// when it begins and then after each value, and misses nothing. Nothing waits for
// a follower that is slow.
func (j *Journal) Follow(parts Part) (changes <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	j.followers.mu.Lock()
	defer j.followers.mu.Unlock()
	if j.followers.all == nil {
		j.followers.all = map[chan struct{}]Part{}
	}
	j.followers.all[c] = parts
	return c, func() {
		j.followers.mu.Lock()
		defer j.followers.mu.Unlock()
		delete(j.followers.all, c)
	}
}

type followers struct {
	mu  sync.Mutex
	all map[chan struct{}]Part
}

func (f *followers) tell(changed Part) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c, parts := range f.all {
		if parts&changed != 0 {
			select {
			case c <- struct{}{}:
			default: // it has one to read already
			}
		}
	}
}
