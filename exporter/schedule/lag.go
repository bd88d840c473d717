package schedule

import "time"

// A lagRecord remembers how late the program itself was in the last minute: its
// own wake-ups, and the beginning of work that was handed out. When we get no
// processor, answers lie unread until their time is over, and that looks like
// targets that hang.
type lagRecord struct {
	spans [lagSpans]struct {
		at   int64 // which span since the epoch, plus one: zero is none
		most time.Duration
	}
}

const (
	lagSpan  = 250 * time.Millisecond
	lagSpans = 256
)

// note takes a lag that ended at now.
func (r *lagRecord) note(now, lag time.Duration) {
	if lag < tick {
		return
	}
	at := int64(now/lagSpan) + 1
	s := &r.spans[at%lagSpans]
	if s.at != at {
		s.at, s.most = at, 0
	}
	s.most = max(s.most, lag)
}

// since returns the largest lag that ended at from or later.
func (r *lagRecord) since(from, now time.Duration) (most time.Duration) {
	last := int64(now/lagSpan) + 1
	for at := max(int64(max(from, 0)/lagSpan)+1, last-lagSpans+1); at <= last; at++ {
		if s := &r.spans[at%lagSpans]; s.at == at {
			most = max(most, s.most)
		}
	}
	return most
}
