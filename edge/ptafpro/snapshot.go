package ptafpro

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/edge"
)

// application stands before an application's name among the switches of a pool.
const application = "application:"

// down marks a backend that isn't enabled, in the word that PTAF 3.x has for it.
const down = "DOWN"

// Snapshot says what was read in the words that all kinds of device share: a
// traffic profile is a pool, a backend in two of them is two members that move
// along with each other, an application is a switch in each pool it listens on.
func (r Reading) Snapshot(device string) edge.Snapshot {
	s := edge.Snapshot{
		Device: device, At: r.At, ReadOnly: r.ReadOnly, Versions: r.Versions,
		States: map[edge.Member]edge.State{}, Switches: map[edge.Member]edge.State{}, Along: map[edge.Member][]edge.Member{},
	}
	for _, p := range r.Profiles {
		for _, e := range p.Backends {
			b, ok := r.backend(e.ID)
			m := edge.Member{Device: device, Pool: p.Name, Name: b.Name}
			if _, twice := s.States[m]; !ok || twice {
				continue // one that came between two lists: the next look has both
			}
			s.States[m] = state(m, b, e)
			r.along(s, m, b.Profiles, p.ID)
		}
		for _, a := range r.Applications {
			if slices.Contains(a.Profiles, p.ID) && !r.twice(a) {
				m := edge.Member{Device: device, Pool: p.Name, Name: application + a.Name}
				s.Switches[m] = edge.State{Member: m, Marks: a.ProtectionMode}
				r.along(s, m, a.Profiles, p.ID)
			}
		}
	}
	return s
}

// along names the same object in other pools, selected or not: whoever may act
// on one of them must know that all move.
func (r Reading) along(s edge.Snapshot, m edge.Member, profiles []string, own string) {
	for _, id := range profiles {
		if id != own {
			s.Along[m] = append(s.Along[m], edge.Member{Device: m.Device, Pool: r.ProfileName(id), Name: m.Name})
		}
	}
	slices.SortFunc(s.Along[m], edge.Member.Compare)
}

func state(m edge.Member, b Backend, e Entry) edge.State {
	weight := 1 // Source: the vendor's pages; weights are 1 where nothing is said
	if e.Weight != nil {
		weight = max(*e.Weight, 0)
	}
	st := edge.State{
		Member: m, Address: net.JoinHostPort(b.Address, strconv.Itoa(b.Port)),
		OnOff: true, Serving: b.Enabled != edge.No && weight > 0, Weight: weight, Share: weight,
	}
	if b.Enabled == edge.No {
		st.Admin, st.Marks = edge.Maint, down
	}
	return st
}

func (r Reading) backend(id string) (Backend, bool) {
	i := slices.IndexFunc(r.Backends, func(b Backend) bool { return b.ID == id })
	if i < 0 {
		return Backend{}, false
	}
	return r.Backends[i], true
}

// twice says that an application's name is another's too: nobody could say which is meant.
func (r Reading) twice(a Application) bool {
	return slices.ContainsFunc(r.Applications, func(o Application) bool { return o.Name == a.Name && o.ID != a.ID })
}

// Backend finds the id of the backend behind a member.
func (r Reading) Backend(m edge.Member) (id string, ok bool) {
	for _, p := range r.Profiles {
		for _, e := range p.Backends {
			if b, ok := r.backend(e.ID); ok && p.Name == m.Pool && b.Name == m.Name {
				return b.ID, true
			}
		}
	}
	return "", false
}

// Application finds the id of the application behind a switch.
func (r Reading) Application(m edge.Member) (id string, ok bool) {
	name, ok := strings.CutPrefix(m.Name, application)
	for _, p := range r.Profiles {
		for _, a := range r.Applications {
			if ok && p.Name == m.Pool && a.Name == name && slices.Contains(a.Profiles, p.ID) && !r.twice(a) {
				return a.ID, true
			}
		}
	}
	return "", false
}

// ProfileName is the name of a traffic profile of the tenant, selected or not;
// the id itself when the device lists none of it.
func (r Reading) ProfileName(id string) string {
	if name, ok := r.names[id]; ok {
		return name
	}
	return id
}
