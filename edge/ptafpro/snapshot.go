package ptafpro

import "github.com/sluice-project/sluice/edge"

// Snapshot says what was read in the words that all kinds of device share.
func (r Reading) Snapshot(device string) edge.Snapshot {
	return edge.Snapshot{Device: device, At: r.At}
}

// Backend finds the id of the backend behind a member.
func (r Reading) Backend(edge.Member) (id string, ok bool) { return "", false }

// Application finds the id of the application behind a switch.
func (r Reading) Application(edge.Member) (id string, ok bool) { return "", false }

// ProfileName is the name of a traffic profile of the tenant, selected or not;
// the id itself when the device lists none of it.
func (r Reading) ProfileName(id string) string {
	if name, ok := r.names[id]; ok {
		return name
	}
	return id
}
