package ptaf

import (
	"net"
	"strconv"

	"github.com/sluice-project/sluice/edge"
)

// mark is the device's own word for a backend that is out, as the UI has it.
const mark = "DOWN"

// Snapshot is a reading in the words that all devices share. A pool is an
// upstream by its name. A backend is in or out and nothing else, and stays as it
// was set when the device starts again: Process is empty.
func (r Reading) Snapshot(device string) edge.Snapshot {
	s := edge.Snapshot{
		Device: device, At: r.At, ReadOnly: r.ReadOnly,
		States: map[edge.Member]edge.State{}, Versions: map[string]string{},
	}
	for _, u := range r.Upstreams {
		s.Versions[u.Name] = u.Version()
		for _, b := range u.Backends {
			st := b.state()
			st.Member = edge.Member{Device: device, Pool: u.Name, Name: b.Name}
			s.States[st.Member] = st
		}
	}
	return s
}

// state is all but the member's name. PTAF 3.x has no health check that can be
// read: passive counting by max_fails stays inside its nginx. So Check is
// unknown, and Serving is what was set. Source: no such endpoint in API v2.
func (b Backend) state() edge.State {
	st := edge.State{
		Address: net.JoinHostPort(b.Address, strconv.Itoa(b.Port)),
		OnOff:   true,
		// A backup gets traffic only while all others are out. Guess: as in nginx,
		// and so is that a weight of 0, if there can be one, gets none.
		Serving: !b.Down && !b.Backup && b.Weight > 0,
		Backup:  b.Backup,
		Weight:  b.Weight, Share: b.Weight,
	}
	if b.Down {
		st.Admin, st.Marks = edge.Maint, mark
	}
	return st
}
