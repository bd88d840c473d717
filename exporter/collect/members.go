package collect

import (
	"slices"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// The families that all kinds of device share.
var (
	deviceUp     = family{"sluice_device_up", promtext.Gauge, "Whether the device answered, whole and in time."}
	readDuration = family{"sluice_device_read_duration_seconds", promtext.Gauge, "How long the device took to answer."}

	memberAdmin   = family{"sluice_member_admin_state", promtext.Gauge, "Which state somebody put the member in: 1 for the one in force."}
	memberServing = family{"sluice_member_serving", promtext.Gauge, "Whether the member takes new traffic now, by the device's word alone."}
	poolMembers   = family{"sluice_pool_members", promtext.Gauge, "Members of the pool, in rotation or not."}
	poolServing   = family{"sluice_pool_members_serving", promtext.Gauge, "Members of the pool that take new traffic now, by the device's word alone."}
)

// labelsOf makes the text of labels that begin with the device's name, where it has one.
func labelsOf(device string, pairs ...string) string {
	if device == "" {
		return promtext.Labels(pairs...)
	}
	return promtext.Labels(append([]string{edge.LabelDevice, device}, pairs...)...)
}

func begin(s *promtext.Sheet, f family) *promtext.Family { return s.Family(f.name, f.kind, f.help) }

// head writes what is told of every device, whether it answered or not.
func (c *Collector) head(s *promtext.Sheet, cut Cut, up bool) {
	device := c.label(cut)
	begin(s, deviceUp)
	s.Flag(labelsOf(device, "kind", c.device.Kind()), "", up)
	begin(s, readDuration) // the value comes at the end
	if c.kind.up.name != "" {
		begin(s, c.kind.up)
		s.Flag(labelsOf(device), "", up)
	}
}

var admins = []struct {
	state edge.Admin
	label string
}{
	{edge.Ready, promtext.Labels("state", edge.Ready.String())},
	{edge.Drain, promtext.Labels("state", edge.Drain.String())},
	{edge.Maint, promtext.Labels("state", edge.Maint.String())},
}

// writeMembers writes what rules that ask for a step may look at.
func writeMembers(s *promtext.Sheet, snapshot edge.Snapshot, device string, wanted names) {
	type pool struct{ members, serving int }
	states := make([]edge.State, 0, len(snapshot.States))
	pools := make(map[string]pool)
	for _, st := range snapshot.States {
		states = append(states, st)
		p := pools[st.Member.Pool]
		p.members++
		if st.Serving {
			p.serving++
		}
		pools[st.Member.Pool] = p
	}
	slices.SortFunc(states, func(a, b edge.State) int { return a.Member.Compare(b.Member) })
	labels := make([]string, len(states))
	var names []string
	for i, st := range states {
		labels[i] = labelsOf(device, edge.LabelPool, st.Member.Pool, edge.LabelMember, st.Member.Name)
		if i == 0 || states[i-1].Member.Pool != st.Member.Pool {
			names = append(names, st.Member.Pool)
		}
	}
	if wanted.has(memberAdmin.name) {
		begin(s, memberAdmin)
		for i, st := range states {
			for _, a := range admins {
				s.Flag(labels[i], a.label, st.Admin == a.state)
			}
		}
	}
	if wanted.has(memberServing.name) {
		begin(s, memberServing)
		for i, st := range states {
			s.Flag(labels[i], "", st.Serving)
		}
	}
	for _, name := range names {
		labels := labelsOf(device, edge.LabelPool, name)
		if wanted.has(poolMembers.name) {
			begin(s, poolMembers)
			s.Value(labels, "", float64(pools[name].members))
		}
		if wanted.has(poolServing.name) {
			begin(s, poolServing)
			s.Value(labels, "", float64(pools[name].serving))
		}
	}
}
