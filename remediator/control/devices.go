package control

import (
	"net/http"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// devices answers GET /api/v1/devices: all of them, looked at now or within the
// last second, ordered by name. Its parameters are limit (10000) and cursor (the
// next of the page before).
//
//	{"devices": [{"device": "edge1", "kind": "haproxy", "up": true, "at": "2026-01-02T15:04:05Z",
//	  "pools": 3, "members": 12, "held": 1}], "count": 1, "next": ""}
//
// Beside these a device may have error (why it is listed without pools and members;
// up is false then and at missing) and read_only (why no step can be taken there).
// A caller who is limited to some pools gets the numbers of those.
func (o Options) devices(r *http.Request) (any, error) {
	l, err := list(r, time.Now(), maxLimit)
	if err != nil {
		return nil, err
	}
	roster, err := o.roster(r, "", "")
	if err != nil {
		return nil, err
	}
	page, next := paged(l, roster.Devices, func(d Device) string { return d.Device }, ascending)
	return struct {
		Devices []Device `json:"devices"`
		Count   int      `json:"count"`
		Next    string   `json:"next"`
	}{page, len(page), next}, nil
}

// pools answers GET /api/v1/pools, ordered by device and name. Its parameters are
// device, pool, limit (10000) and cursor (the next of the page before).
//
//	{"pools": [{"device": "edge1", "pool": "shop", "members": 4, "serving": 3, "out": 1, "held": 1,
//	  "policy": "drain", "min_serving": "50%", "frozen": false, "maintenance": ["backup"]}], "count": 1, "next": ""}
//
// policy and min_serving are missing where no policy takes members of the pool out;
// maintenance is never null. A device that can't be read has no pools: see devices.
func (o Options) pools(r *http.Request) (any, error) {
	l, err := list(r, time.Now(), maxLimit, "device", "pool")
	if err != nil {
		return nil, err
	}
	roster, err := o.roster(r, l.values.Get("device"), l.values.Get("pool"))
	if err != nil {
		return nil, err
	}
	page, next := paged(l, roster.Pools, func(p Pool) string { return p.Device + "\x00" + p.Pool }, ascending)
	return struct {
		Pools []Pool `json:"pools"`
		Count int    `json:"count"`
		Next  string `json:"next"`
	}{page, len(page), next}, nil
}

// members answers GET /api/v1/members: those of all devices, looked at now or
// within the last second, with who set which state when, ordered by device, pool
// and member. Its parameters are device, pool, member, state (ready, drain or maint;
// serving or not_serving), limit (10000) and cursor (the next of the page before).
// A device that can't be read is listed with its error.
//
//	{"devices": [... as GET /devices has them], "members": [{
//	  "member": {"device": "edge1", "pool": "shop", "member": "s1"}, "address": "192.0.2.1:80",
//	  "admin": "drain", "marks": "FDRAIN", "serving": false, "weight": 0, "share": 100, "check": "yes",
//	  "sessions": 3, "queue": 0, "chosen": 1200, "answers": 1190, "errors": 12,
//	  "set": {"by": "person", "actor": "ann", "since": "2026-01-02T15:04:05Z", "reason": "a new disk"},
//	  "op": "DRAIN", "op_since": "2026-01-02T15:00:00Z", "last_check": "L7OK", "configured_weight": 100,
//	  "errors_5xx": 0.0101, "errors_5xx_over": "1m"}], "count": 1, "next": ""}
//
// admin is what was ordered: ready, drain or maint, and marks the device's word for
// it. check is the device's own check: yes, no or unknown. share is the weight that
// is set, weight what is in effect. set.by is sluice (with policy, hold and phase),
// person, device or unknown; no set is a member in service that nobody is known to
// have touched. Missing where false, empty or not told: address, marks, settled,
// on_off, backup, share, agent, tracks, limit, answers, errors, op, op_since,
// last_check, configured_weight, errors_5xx, errors_5xx_over. count is of this page.
func (o Options) members(r *http.Request) (any, error) {
	l, err := list(r, time.Now(), maxLimit, "device", "pool", "member", "state")
	if err != nil {
		return nil, err
	}
	in, err := inState(l)
	if err != nil {
		return nil, err
	}
	roster, err := o.roster(r, l.values.Get("device"), l.values.Get("pool"))
	if err != nil {
		return nil, err
	}
	name := l.values.Get("member")
	rows := []Member{}
	for _, m := range roster.Members {
		if in(m) && (name == "" || m.Member.Name == name) {
			rows = append(rows, m)
		}
	}
	roster.Members, roster.Next = paged(l, rows, func(m Member) string { return memberKey(m.Member) }, ascending)
	roster.Count = len(roster.Members)
	return roster, nil
}

// inState reads the parameter state.
func inState(l *listing) (func(Member) bool, error) {
	switch text := l.values.Get("state"); {
	case !l.values.Has("state"):
		return func(Member) bool { return true }, nil
	case text == "serving" || text == "not_serving":
		return func(m Member) bool { return m.Serving == (text == "serving") }, nil
	default:
		admin, err := edge.ParseAdmin(text)
		if err != nil {
			return nil, wrong(l.values, "state", "ready, drain, maint, serving or not_serving")
		}
		return func(m Member) bool { return m.Admin == admin }, nil
	}
}

// memberKey orders members as [edge.Member.Compare] does.
func memberKey(m edge.Member) string { return m.Device + "\x00" + m.Pool + "\x00" + m.Name }

func ascending(a, b string) bool { return a < b }

// roster is what the caller may see of devices.
func (o Options) roster(r *http.Request, device, pool string) (Roster, error) {
	sees, err := viewer(r)
	if err != nil {
		return Roster{}, err
	}
	all, err := o.Engine.Members(r.Context(), device, pool)
	if err != nil {
		return all, err
	}
	out := Roster{Devices: []Device{}, Pools: []Pool{}, Members: []Member{}}
	per := map[string]*Device{}
	for _, p := range all.Pools {
		if !sees(edge.Pool{Device: p.Device, Name: p.Pool}) {
			continue
		}
		out.Pools = append(out.Pools, p)
		if per[p.Device] == nil {
			per[p.Device] = new(Device)
		}
		d := per[p.Device]
		d.Pools, d.Members, d.Held = d.Pools+1, d.Members+p.Members, d.Held+p.Held
	}
	for _, d := range all.Devices {
		switch seen := per[d.Device]; {
		case sees(edge.Pool{Device: d.Device}): // all of it
		case seen != nil:
			d.Pools, d.Members, d.Held = seen.Pools, seen.Members, seen.Held
		case !d.Had(sees):
			continue
		default:
			d.Pools, d.Members, d.Held = 0, 0, 0
		}
		out.Devices = append(out.Devices, d)
	}
	for _, m := range all.Members {
		if sees(m.Member.In()) {
			out.Members = append(out.Members, m)
		}
	}
	return out, nil
}
