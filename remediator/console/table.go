package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Bounds on one page: what doesn't fit is counted and linked, never left out in silence.
const (
	mostServices = 150 // with a line of their own
	mostRows     = 250 // members on the first page
	mostInOne    = 25  // members of one service on the first page
	pageRows     = 200 // members on a service's own page
)

// A service is what bears one name on several devices: their pools of that name,
// side by side.
type service struct {
	Name   string
	Pools  []poolHead
	Rows   []row
	All    int // members by name, whether they are in Rows or not
	Hidden int // of them
	Differ int // whose nodes don't say the same
}

// A poolHead is one device's pool of a service.
type poolHead struct {
	edge.Pool
	Serving, All, Held int
	Care               control.Pool // what the configuration says of it
}

// A row is one member by its name, with what each device says of it. When all say
// the same they share a line.
type row struct {
	Name    string
	Nodes   []node
	Differ  bool // they don't say the same
	Split   bool // a line for each of them
	Weights bool // they have other weights
}

// A node is a member as one device knows it.
type node struct {
	remediator.Displayed
	Kind    kind
	Held    bool
	Claimed *journal.Claimed // by a person
	Since   time.Time        // of the state, where it is known
	Shares  bool             // its weight is another than the others'
}

// A kind is a member's state in one word, for the eye.
type kind string

const (
	up      kind = "up"      // takes new traffic
	down    kind = "down"    // would, and fails the device's own check
	idle    kind = "idle"    // would, and doesn't for another reason
	standby kind = "standby" // a backup
	drain   kind = "drain"
	maint   kind = "maint"
)

func kindOf(s edge.State) kind {
	switch {
	case s.Admin == edge.Maint:
		return maint
	case s.Admin == edge.Drain:
		return drain
	case s.Backup:
		return standby
	case s.Serving:
		return up
	case s.Check == edge.No:
		return down
	}
	return idle
}

// A filter is what somebody wants to see of the table.
type filter struct {
	Show   string // all, up, out, down, held, differ
	Text   string // in the name of device, pool or member, or in the address
	Device string
}

var shows = []string{"all", "up", "out", "down", "held", "differ"}

func filterOf(r *http.Request) filter {
	q := r.URL.Query()
	f := filter{Show: q.Get("show"), Text: cut(strings.TrimSpace(q.Get("q")), 60), Device: q.Get("device")}
	if !slices.Contains(shows, f.Show) {
		f.Show = "all"
	}
	return f
}

// Any says that something is left out of the table.
func (f filter) Any() bool { return f.Show != "all" || f.Text != "" || f.Device != "" }

// shows says whether a row is wanted.
func (f filter) shows(r row) bool {
	if f.Show == "differ" && !r.Differ {
		return false
	}
	return slices.ContainsFunc(r.Nodes, func(n node) bool {
		return f.counts(n) && (f.Device == "" || n.Member.Device == f.Device) && f.finds(n)
	})
}

func (f filter) counts(n node) bool {
	switch f.Show {
	case "up":
		return n.Kind == up
	case "out":
		return n.Kind == drain || n.Kind == maint
	case "down":
		return n.Kind == down || n.Kind == idle
	case "held":
		return n.Held
	}
	return true
}

func (f filter) finds(n node) bool {
	text := strings.ToLower(f.Text)
	return strings.Contains(strings.ToLower(n.Member.String()+" "+n.Address), text)
}

// counts are how many members are in each state, by device.
type counts struct{ All, Up, Out, Down, Held, Differ int }

// Of is the count that a filter's name stands for.
func (c counts) Of(show string) int {
	return map[string]int{"all": c.All, "up": c.Up, "out": c.Out, "down": c.Down, "held": c.Held, "differ": c.Differ}[show]
}

// servicesOf puts the members of all devices side by side, by pool and name.
func (p *page) servicesOf(members []remediator.Displayed, pools []control.Pool) (out []service, all counts) {
	care := map[edge.Pool]control.Pool{}
	for _, one := range pools {
		care[edge.Pool{Device: one.Device, Name: one.Pool}] = one
	}
	byPool := map[string]map[string][]node{}
	for _, m := range members {
		n := p.nodeOf(m)
		all.add(n)
		rows := byPool[m.Member.Pool]
		if rows == nil {
			rows = map[string][]node{}
			byPool[m.Member.Pool] = rows
		}
		rows[m.Member.Name] = append(rows[m.Member.Name], n)
	}
	for pool, rows := range byPool {
		s := service{Name: pool, All: len(rows)}
		for name, nodes := range rows {
			r := rowOf(name, nodes)
			if r.Differ {
				s.Differ++
				all.Differ++
			}
			s.Rows = append(s.Rows, r)
		}
		slices.SortFunc(s.Rows, func(a, b row) int { return natural(a.Name, b.Name) })
		s.Pools = headsOf(s.Rows, care)
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b service) int { return natural(a.Name, b.Name) })
	return out, all
}

func (p *page) nodeOf(m remediator.Displayed) node {
	n := node{Displayed: m, Kind: kindOf(m.State), Claimed: p.claimOf(m.Member)}
	if m.Set != nil {
		n.Held, n.Since = m.Set.By == "sluice", m.Set.Since
	}
	if n.Since.IsZero() && m.Admin == edge.Ready {
		n.Since = m.OpSince
	}
	return n
}

func (c *counts) add(n node) {
	c.All++
	switch n.Kind {
	case up:
		c.Up++
	case drain, maint:
		c.Out++
	case down, idle:
		c.Down++
	}
	if n.Held {
		c.Held++
	}
}

// rowOf compares what the devices say of one member.
func rowOf(name string, nodes []node) row {
	r := row{Name: name, Nodes: nodes}
	slices.SortFunc(nodes, func(a, b node) int { return natural(a.Member.Device, b.Member.Device) })
	first := nodes[0]
	for i, n := range nodes[1:] {
		if n.Kind != first.Kind {
			r.Differ = true
		}
		if n.Weight != first.Weight && n.Admin == first.Admin {
			nodes[i+1].Shares = true
			r.Split, r.Weights = true, true
		}
		if who(n) != who(first) {
			r.Split = true
		}
	}
	r.Split = r.Split || r.Differ
	return r
}

// who is whose doing a state is, to be compared.
func who(n node) string {
	if n.Set == nil {
		return ""
	}
	return n.Set.By + "\x00" + n.Set.Actor + "\x00" + n.Set.Policy
}

func headsOf(rows []row, care map[edge.Pool]control.Pool) (out []poolHead) {
	byDevice := map[edge.Pool]*poolHead{}
	for _, r := range rows {
		for _, n := range r.Nodes {
			h := byDevice[n.Member.In()]
			if h == nil {
				h = &poolHead{Pool: n.Member.In(), Care: care[n.Member.In()]}
				byDevice[n.Member.In()] = h
			}
			h.All++
			if n.Serving {
				h.Serving++
			}
			if n.Held {
				h.Held++
			}
		}
	}
	for _, h := range byDevice {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b poolHead) int { return natural(a.Device, b.Device) })
	return out
}

// fit leaves of the services what one page shows: what isn't simply in service
// comes first where not all of a service has room.
func fit(all []service, f filter) (out []service, more int) {
	rows := 0
	for _, s := range all {
		found := slices.DeleteFunc(slices.Clone(s.Rows), func(r row) bool { return !f.shows(r) })
		if len(found) == 0 {
			continue
		}
		if len(out) == mostServices {
			more++
			continue
		}
		room := max(min(mostInOne, mostRows-rows), 0)
		if len(found) > room {
			slices.SortStableFunc(found, func(a, b row) int { return cmp.Compare(plain(a), plain(b)) })
			s.Hidden = len(found) - room
			found = found[:room]
			slices.SortFunc(found, func(a, b row) int { return natural(a.Name, b.Name) })
		}
		s.Rows = found
		rows += len(found)
		out = append(out, s)
	}
	return out, more
}

// plain is 1 for a row that nobody has to look at.
func plain(r row) int {
	if r.Differ || slices.ContainsFunc(r.Nodes, func(n node) bool { return n.Kind != up && n.Kind != standby || n.Held }) {
		return 0
	}
	return 1
}

// natural orders names as people do: app2 before app10.
func natural(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y), cmp.Compare(na, nb)); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// Sessions are those of all lines that a row stands for.
func (r row) Sessions() (n int) {
	for _, one := range r.Nodes {
		n += one.Sessions
	}
	return n
}

// Queue is like Sessions.
func (r row) Queue() (n int) {
	for _, one := range r.Nodes {
		n += one.Queue
	}
	return n
}

// First is the node that speaks for all.
func (r row) First() node { return r.Nodes[0] }

// tablePage is the body of the first page, and of a service's own.
type tablePage struct {
	Services []service
	More     int // services that have no room
	Counts   counts
	Filter   filter
	Shows    []string
	Sick     []remediator.Sighted // devices that can't be read
	Late     []remediator.Sighted // devices whose answers are awaited, and whose last ones are shown
	ReadOnly []remediator.Sighted
	Devices  int
	Next     string // of a service's page: the name of the last member here
	Own      string // a service's own page: its name
}

// lateAfter is how old a device's answer is when its age is told.
const lateAfter = 5 * time.Second

// patience is how long a page waits for devices: one that hangs is told of, and
// the others are shown.
const patience = 2 * time.Second

var errImpatient = fmt.Errorf("asked %s ago", patience)

func (c *console) members(r *http.Request, pool string) (remediator.Roster, error) {
	ctx, cancel := context.WithTimeoutCause(r.Context(), patience, errImpatient)
	defer cancel()
	return c.Engine.Members(ctx, "", pool)
}

// look reads all devices and puts what they say in order.
func (c *console) look(p *page, r *http.Request) (tablePage, []service, error) {
	t := tablePage{Filter: filterOf(r), Shows: shows}
	roster, err := c.members(r, r.URL.Query().Get("pool"))
	if err != nil {
		return t, nil, err
	}
	sees := func(p edge.Pool) bool { return c.sees(r, p) }
	for _, d := range roster.Devices {
		if !sees(edge.Pool{Device: d.Device}) && !d.Had(sees) && !slices.ContainsFunc(roster.Members, func(m remediator.Displayed) bool {
			return m.Member.Device == d.Device && sees(m.Member.In())
		}) {
			continue
		}
		t.Devices++
		switch {
		case d.Error != "":
			t.Sick = append(t.Sick, d)
		case !d.At.IsZero() && p.Now.Sub(d.At) > lateAfter:
			t.Late = append(t.Late, d)
		case d.ReadOnly != "":
			t.ReadOnly = append(t.ReadOnly, d)
		}
	}
	members := slices.DeleteFunc(slices.Clone(roster.Members), func(m remediator.Displayed) bool { return !c.sees(r, m.Member.In()) })
	services, all := p.servicesOf(members, roster.Pools)
	t.Counts = all
	return t, services, nil
}

// overview answers GET /console/.
func (c *console) overview(w http.ResponseWriter, r *http.Request) {
	p := c.page(r, "members")
	p.Live = true
	t, services, err := c.look(p, r)
	if err != nil {
		c.fail(w, p, http.StatusServiceUnavailable, err)
		return
	}
	t.Services, t.More = fit(services, t.Filter)
	p.Body = t
	c.write(w, p, http.StatusOK, "members")
}

// service answers GET /console/service?pool=: one service, page by page.
func (c *console) service(w http.ResponseWriter, r *http.Request) {
	p := c.page(r, "members")
	p.Live = true
	name, after := r.URL.Query().Get("pool"), r.URL.Query().Get("after")
	p.Title = p.Short(name)
	t, services, err := c.look(p, r)
	if err != nil {
		c.fail(w, p, http.StatusServiceUnavailable, err)
		return
	}
	t.Own = name
	i := slices.IndexFunc(services, func(s service) bool { return s.Name == name })
	if i < 0 && len(t.Sick) == 0 {
		p.Title, p.Problem = p.T("no_page"), p.T("no_service", p.Short(name))
		c.write(w, p, http.StatusNotFound, "problem")
		return
	}
	if i >= 0 {
		s := services[i]
		s.Rows = slices.DeleteFunc(s.Rows, func(one row) bool {
			return !t.Filter.shows(one) || after != "" && natural(one.Name, after) <= 0
		})
		if len(s.Rows) > pageRows {
			s.Rows = s.Rows[:pageRows]
			t.Next = s.Rows[pageRows-1].Name
		}
		t.Services = []service{s}
	}
	p.Body = t
	c.write(w, p, http.StatusOK, "members")
}
