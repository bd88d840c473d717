package guard

import (
	"fmt"

	"github.com/sluice-project/sluice/edge"
)

// load: the others can carry what the pool carries now, by the sessions and the
// queue that the device reports (SAFETY.md I1). How many one member can take is
// the policy's max_sessions, or what the device is configured for; where
// neither is known there is nothing to compare.
func load(s Step, w World) (string, string) {
	if w.Policy == nil || !s.takesOut() {
		return "", "adds capacity"
	}
	return everywhere(s, w, func(m edge.Member, p *Policy) (string, string) {
		going := s.moves(w, m)
		need, room, unknown := 0, 0, ""
		for _, st := range w.Snapshot.Pool(m.In()) {
			need += st.Sessions + st.Queue
			if contains(going, st.Member) || !st.Serving || w.Held[st.Member].Trial || w.well(st.Member) == edge.No {
				continue
			}
			limit := p.MaxSessions
			if limit == 0 {
				limit = st.Limit
			}
			if limit == 0 {
				unknown = st.Member.Name
			}
			room += limit
		}
		switch {
		case unknown != "":
			return "", fmt.Sprintf("how much %s can carry isn't known: no max_sessions, and no limit on the device", unknown)
		case need > room:
			return "overload", fmt.Sprintf("the pool has %d sessions and requests that wait, the others can carry %d", need, room)
		}
		return "", fmt.Sprintf("the others can carry %d sessions, the pool has %d", room, need)
	})
}
