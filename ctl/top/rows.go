package top

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A mood is how a row is to be seen, beside its text.
type mood int

const (
	calm    mood = iota
	well         // serves
	leaving      // drained
	gone         // takes nothing, because somebody wants it so
	failing      // takes nothing, and nobody wants that
)

// A row is one line of a list.
type row struct {
	key    string // stays the same while the row means the same
	member edge.Member
	mood   mood
	cells  map[string]string
	sorts  map[string]float64
}

// A column of a list. Those of the greatest worth are shown where not all fit; the
// first one, and one that stretches, take what is left.
type column struct {
	name    string
	width   int
	worth   int
	right   bool
	stretch bool
}

var columns = map[view][]column{
	viewMembers: {
		{name: "DEVICE/POOL/MEMBER", width: 28, worth: 100, stretch: true},
		{name: "ADMIN", width: 5, worth: 99},
		{name: "STATE", width: 8, worth: 90},
		{name: "FOR", width: 6, worth: 80, right: true},
		{name: "WGT", width: 4, worth: 40, right: true},
		{name: "SESS", width: 5, worth: 88, right: true},
		{name: "QUEUE", width: 5, worth: 86, right: true},
		{name: "REQ/S", width: 6, worth: 84, right: true},
		{name: "5XX", width: 5, worth: 60, right: true},
		{name: "WHO", width: 8, worth: 82, stretch: true},
		{name: "WHY", width: 12, worth: 30, stretch: true},
	},
	viewPools: {
		{name: "DEVICE/POOL", width: 20, worth: 100, stretch: true},
		{name: "SERVING", width: 7, worth: 99, right: true},
		{name: "OUT", width: 4, worth: 90, right: true},
		{name: "HELD", width: 4, worth: 90, right: true},
		{name: "MIN", width: 5, worth: 60, right: true},
		{name: "SESS", width: 6, worth: 80, right: true},
		{name: "QUEUE", width: 5, worth: 78, right: true},
		{name: "REQ/S", width: 6, worth: 76, right: true},
		{name: "POLICY", width: 10, worth: 50},
		{name: "STOPPED BY", width: 12, worth: 70, stretch: true},
	},
	viewHolds: {
		{name: "DEVICE/POOL/MEMBER", width: 20, worth: 100, stretch: true},
		{name: "TO", width: 5, worth: 99},
		{name: "PHASE", width: 15, worth: 90},
		{name: "FOR", width: 6, worth: 80, right: true},
		{name: "POLICY", width: 8, worth: 50},
		{name: "AT MOST", width: 7, worth: 40, right: true},
		{name: "WHY", width: 16, worth: 70, stretch: true},
	},
	viewRefusals: {
		{name: "DEVICE/POOL/MEMBER", width: 20, worth: 95, stretch: true},
		{name: "AGO", width: 6, worth: 100, right: true},
		{name: "TO", width: 5, worth: 40},
		{name: "GUARD", width: 11, worth: 99},
		{name: "REASON", width: 12, worth: 60},
		{name: "WHY", width: 20, worth: 90, stretch: true},
	},
}

// sorts are the orders of the members, as they come one after the other.
var sorts = []string{"name", "state", "for", "sessions", "queue", "rate", "errors"}

// rows are those of the view, filtered and sorted.
func (m *model) rows() []row {
	var all []row
	switch m.view {
	case viewMembers:
		for _, one := range m.data.Members {
			all = append(all, m.memberRow(one))
		}
	case viewPools:
		all = m.poolRows()
	case viewHolds:
		for _, h := range m.data.Holds {
			all = append(all, m.holdRow(h))
		}
	case viewRefusals:
		for _, e := range m.data.Refusals {
			all = append(all, m.refusalRow(e))
		}
	}
	all = slices.DeleteFunc(all, func(r row) bool { return !r.matches(m.filter) })
	if m.view == viewRefusals {
		return all // the newest first, whatever the others are sorted by
	}
	by := sorts[m.sort]
	slices.SortStableFunc(all, func(a, b row) int {
		// All but the name begin with the most, which is what is looked for.
		c := cmp.Or(cmp.Compare(b.sorts[by], a.sorts[by]), a.member.Compare(b.member))
		if m.reverse {
			return -c
		}
		return c
	})
	return all
}

// matches says whether every word of the filter stands somewhere in the row.
func (r row) matches(filter string) bool {
	var text strings.Builder
	for _, cell := range r.cells {
		text.WriteString(strings.ToLower(cell) + "\n")
	}
	for _, word := range strings.Fields(strings.ToLower(filter)) {
		if !strings.Contains(text.String(), word) {
			return false
		}
	}
	return true
}

func (m *model) memberRow(one ctl.Member) row {
	r := row{
		key: one.Member.String(), member: one.Member, mood: moodOf(one),
		cells: map[string]string{
			"DEVICE/POOL/MEMBER": ctl.Name(one.Member), "ADMIN": one.Admin.String(), "STATE": stateOf(one),
			"WGT": weightOf(one), "SESS": m.count(one, one.Sessions), "QUEUE": m.count(one, one.Queue),
		},
		sorts: map[string]float64{
			"state": float64(moodOf(one)), "sessions": float64(one.Sessions), "queue": float64(one.Queue), "for": -math.MaxFloat64,
		},
	}
	if rate, ok := m.rates[one.Member]; ok {
		r.cells["REQ/S"], r.sorts["rate"] = per(rate), rate
	}
	if one.Errors5xx != nil {
		r.cells["5XX"], r.sorts["errors"] = fmt.Sprintf("%.1f%%", *one.Errors5xx*100), *one.Errors5xx
	}
	since := one.OpSince
	if one.Set != nil {
		r.cells["WHO"], r.cells["WHY"] = who(one.Set), one.Set.Reason
		if !one.Set.Since.IsZero() {
			since = one.Set.Since
		}
	}
	if c, ok := m.claimed(one.Member); ok {
		r.cells["WHO"], r.cells["WHY"] = c.Actor, "claimed: "+c.Reason
	}
	if !since.IsZero() {
		r.cells["FOR"] = age(m.now.Sub(since))
		r.sorts["for"] = -m.now.Sub(since).Seconds() // what changed last is looked for
	}
	return r
}

func (m *model) claimed(one edge.Member) (journal.Claimed, bool) {
	i := slices.IndexFunc(m.data.Claimed, func(c journal.Claimed) bool { return c.Member == one })
	if i < 0 {
		return journal.Claimed{}, false
	}
	return m.data.Claimed[i], true
}

func moodOf(one ctl.Member) mood {
	switch {
	case one.Serving && one.Admin == edge.Ready:
		return well
	case one.Admin == edge.Drain:
		return leaving
	case one.Admin == edge.Maint:
		return gone
	case one.Backup:
		return calm
	}
	return failing
}

// stateOf is what was found, which is another thing than what was ordered.
func stateOf(one ctl.Member) string {
	switch {
	case one.Op != "":
		return one.Op
	case one.Serving:
		return "serving"
	case one.Check == edge.No:
		return "down"
	case one.Backup && one.Admin == edge.Ready:
		return "standby" // it takes over when the others are gone
	}
	return "out"
}

func weightOf(one ctl.Member) string {
	if one.Share != 0 && one.Share != one.Weight && one.Weight != 0 {
		return fmt.Sprintf("%d/%d", one.Weight, one.Share)
	}
	return strconv.Itoa(one.Weight)
}

// count is a number that a device knows that counts.
func (m *model) count(one ctl.Member, n int) string {
	if one.OnOff {
		return m.glyphs.none
	}
	return short(float64(n))
}

func who(b *ctl.SetBy) string {
	switch {
	case b.Actor != "":
		return b.Actor
	case b.Hold != "":
		return b.By + " " + b.Hold
	}
	return b.By
}

func (m *model) poolRows() (all []row) {
	sessions, queue, rate := map[edge.Pool]int{}, map[edge.Pool]int{}, map[edge.Pool]float64{}
	pools := map[edge.Pool]row{}
	for _, one := range m.data.Members {
		p := one.Member.In()
		sessions[p] += one.Sessions
		queue[p] += one.Queue
		rate[p] += m.rates[one.Member]
	}
	for _, p := range m.data.Pools {
		id := edge.Pool{Device: p.Device, Name: p.Pool}
		r := row{key: id.String(), member: edge.Member{Device: p.Device, Pool: p.Pool}, mood: well, sorts: map[string]float64{
			"sessions": float64(sessions[id]), "queue": float64(queue[id]), "rate": rate[id], "state": float64(p.Members - p.Serving),
		}}
		switch {
		case p.Serving == 0 && p.Members > 0:
			r.mood = failing
		case p.Serving < p.Members:
			r.mood = leaving
		}
		stopped := p.Maintenance
		if p.Frozen {
			stopped = append([]string{"freeze"}, stopped...)
		}
		r.cells = map[string]string{
			"DEVICE/POOL": ctl.PoolName(id), "SERVING": fmt.Sprintf("%d/%d", p.Serving, p.Members), "OUT": strconv.Itoa(p.Out), "HELD": strconv.Itoa(p.Held),
			"MIN": p.MinServing, "SESS": short(float64(sessions[id])), "QUEUE": short(float64(queue[id])), "REQ/S": per(rate[id]),
			"POLICY": p.Policy, "STOPPED BY": strings.Join(stopped, ", "),
		}
		pools[id] = r
		all = append(all, r)
	}
	return all
}

func (m *model) holdRow(h journal.Hold) row {
	goal := h.To.String()
	if h.Mark != "" {
		goal = h.Mark
	}
	r := row{key: h.Member.String(), member: h.Member, mood: leaving, sorts: map[string]float64{"for": -m.now.Sub(h.Since).Seconds()}, cells: map[string]string{
		"DEVICE/POOL/MEMBER": ctl.Name(h.Member), "TO": goal, "PHASE": string(h.Phase), "FOR": age(m.now.Sub(h.Since)), "POLICY": h.Policy, "WHY": h.Reason,
	}}
	if !h.MaxUntil.IsZero() {
		r.cells["AT MOST"] = age(h.MaxUntil.Sub(m.now))
	}
	return r
}

func (m *model) refusalRow(e journal.Entry) row {
	r := row{key: strconv.FormatUint(e.Seq, 10), mood: calm, cells: map[string]string{
		"AGO": age(m.now.Sub(e.At)), "TO": e.Admin, "GUARD": e.Guard, "REASON": e.Reason, "WHY": e.Detail,
	}}
	if e.Member != nil {
		r.member = *e.Member
		r.cells["DEVICE/POOL/MEMBER"] = ctl.Name(*e.Member)
	}
	return r
}

// per is a rate.
func per(r float64) string {
	if r < 10 {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return short(r)
}

// short is a number in five characters.
func short(n float64) string {
	switch {
	case n < 100_000:
		return strconv.FormatFloat(n, 'f', 0, 64)
	case n < 10_000_000:
		return strconv.FormatFloat(n/1000, 'f', 0, 64) + "k"
	}
	return strconv.FormatFloat(n/1_000_000, 'f', 0, 64) + "M"
}

// age is a length of time in its two largest units, or one that is small.
func age(d time.Duration) string {
	d = max(0, d).Truncate(time.Second)
	days, hours, minutes, seconds := int(d/(24*time.Hour)), int(d/time.Hour)%24, int(d/time.Minute)%60, int(d/time.Second)%60
	switch {
	case days >= 100:
		return fmt.Sprintf("%dd", days)
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}
