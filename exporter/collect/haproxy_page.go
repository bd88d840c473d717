package collect

import (
	"slices"
	"strconv"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// A page turns the answer of one HAProxy into series while it is read: one pass
// from the bytes of a row to the bytes of its series.
type page struct {
	selection
	sheet  *promtext.Sheet
	counts *counts
	web    bool // there are the rows alone

	plans [4]plan // by the row's type
	rows  haproxy.Types

	// Fields that more is made of than one series.
	status, check, weight, backup, mode int

	proxy       []byte // of the last row
	proxyWanted bool
	listeners   map[string]bool // of that proxy, by name
	labels      []byte          // of the row under way, as all its series begin
	members     memberSeries
	pool        poolCount
	scratch     []byte
}

func newPage(s selection, sheet *promtext.Sheet, counts *counts, web bool) *page {
	return &page{selection: s, sheet: sheet, counts: counts, web: web}
}

// query asks for no more than the selection needs.
func (p *page) query() haproxy.Query {
	q := haproxy.Query{Info: true} // the process is a part of every answer
	q.Tables = p.scopes&sticktable != 0 && p.profile != fleet.ProfileExporter && (p.has(tableSize.name) || p.has(tableUsed.name))
	hidden := true // nothing counts the servers that no-maint hides
	for _, o := range haproxyObjects {
		if p.scopes&o.scope == 0 {
			continue
		}
		for _, c := range columnsOf(p.profile, o) {
			if !p.has("haproxy_" + o.name + "_" + c.name) {
				continue
			}
			q.Rows |= 1 << o.row
			if c.form == aggregate && (p.scopes&server != 0 || p.byName("haproxy_"+o.name+"_"+c.name)) {
				q.Rows |= 1 << haproxy.ServerRow
				hidden = false
			}
		}
		if p.extra {
			q.Rows |= 1 << o.row
		}
	}
	if p.scopes&server != 0 {
		for _, f := range memberFamilies {
			if p.has(f.name) {
				q.Rows |= 1 << haproxy.ServerRow
				q.Servers = true
			}
		}
		hidden = hidden && !p.has(poolMembers.name) && !p.has(poolServing.name)
	}
	q.NoMaint = p.noMaint && hidden
	p.rows = q.Rows
	return q
}

// TakeInfo is [haproxy.Taker]'s.
func (p *page) TakeInfo(i haproxy.Info) error {
	p.counts.seen(i.Process())
	p.own(true)
	if p.scopes&global == 0 {
		return nil
	}
	labels := labelsOf(p.device)
	if p.profile != fleet.ProfileBuiltin && p.profile != "" && p.has(versionInfo.name) {
		begin(p.sheet, versionInfo)
		p.sheet.Flag(labelsOf(p.device, "release_date", i.Fields["Release_date"], "version", i.Version), "", true)
	}
	for _, f := range fields {
		name := "haproxy_process_" + f.name
		if p.has(name) && (p.profile != fleet.ProfileExporter || f.shared()) {
			p.sheet.Family(name, f.kind, f.help)
			p.sheet.Number(labels, "", f.of(i))
		}
	}
	if p.profile != fleet.ProfileExporter && p.has(buildInfo.name) {
		begin(p.sheet, buildInfo)
		p.sheet.Flag(labelsOf(p.device, "version", i.Version), "", true)
	}
	if node := i.Fields["node"]; node != "" && p.profile != fleet.ProfileExporter && p.has(nodeInfo.name) {
		begin(p.sheet, nodeInfo)
		p.sheet.Flag(labelsOf(p.device, "node", node), "", true)
	}
	if p.has(processPid.name) {
		begin(p.sheet, processPid)
		p.sheet.Value(labels, "", float64(i.Pid))
	}
	return nil
}

// TakeTables is [haproxy.Taker]'s.
func (p *page) TakeTables(tables []haproxy.Table) error {
	for _, t := range tables {
		labels := labelsOf(p.device, "name", t.Name, "type", t.Type)
		if p.has(tableSize.name) {
			begin(p.sheet, tableSize)
			p.sheet.Number(labels, "", strconv.FormatUint(t.Size, 10))
		}
		if p.has(tableUsed.name) {
			begin(p.sheet, tableUsed)
			p.sheet.Number(labels, "", strconv.FormatUint(t.Used, 10))
		}
	}
	return nil
}

// TakeServers is [haproxy.Taker]'s.
func (p *page) TakeServers(lines *haproxy.ServerLines) error {
	p.members.lines = lines
	return nil
}

// TakeColumns is [haproxy.Taker]'s.
func (p *page) TakeColumns(names []string) error {
	at := make(map[string]int, len(names))
	for i, n := range names {
		if _, twice := at[n]; !twice {
			at[n] = i
		}
	}
	field := func(name string) int {
		if i, ok := at[name]; ok {
			return i
		}
		return -1
	}
	p.status, p.check, p.weight, p.backup, p.mode = field("status"), field("check_status"), field("weight"), field("bck"), field("mode")
	p.members.begin(p, len(names))
	for _, o := range haproxyObjects {
		p.plans[o.row] = p.plan(o, field, names)
	}
	return nil
}

// TakeRow is [haproxy.Taker]'s.
func (p *page) TakeRow(r *haproxy.Record) error {
	if string(p.proxy) != string(r.Proxy) {
		p.proxy = append(p.proxy[:0], r.Proxy...)
		p.proxyWanted = p.hasProxy(r.Proxy)
		clear(p.listeners)
	}
	if !p.proxyWanted {
		return nil
	}
	plan := &p.plans[r.Type]
	switch r.Type {
	case haproxy.ServerRow:
		if hidden, err := p.server(r); err != nil || hidden {
			return err
		}
	case haproxy.Backend:
		if string(p.pool.name) != string(r.Proxy) {
			p.pool.flush(p)
		}
	case haproxy.Listener:
		if p.again(r.Service) {
			return nil
		}
	}
	if len(plan.steps) > 0 {
		p.row(r, plan)
	}
	if r.Type == haproxy.Backend {
		p.pool.flush(p)
	}
	return nil
}

// again says that the proxy has another listener of that name. HAProxy lets any
// number of "bind" lines have one name (seen on 2.6), but a series is there once:
// the first one's, as Prometheus keeps it of HAProxy's own exporter.
func (p *page) again(listener []byte) bool {
	if p.listeners[string(listener)] {
		return true
	}
	if p.listeners == nil {
		p.listeners = make(map[string]bool)
	}
	p.listeners[string(listener)] = true
	return false
}

// finish takes what was counted over the last rows.
func (p *page) finish() {
	p.pool.flush(p)
	for i := range p.plans {
		if r := p.plans[i].rows; r != nil {
			p.counts.rows[i].Store(int64(r.Len()))
		}
	}
}

// server counts a server and writes what we know of it beyond its row. It says
// whether the row is not to be shown.
func (p *page) server(r *haproxy.Record) (hidden bool, err error) {
	status := r.At(p.status)
	if string(p.pool.name) != string(r.Proxy) {
		p.pool.flush(p)
		p.pool.name = append(p.pool.name, r.Proxy...)
	}
	p.pool.count(status, r.At(p.check))
	hidden = p.noMaint && len(status) >= 5 && string(status[:5]) == "MAINT"
	return hidden, p.members.write(p, r, hidden)
}

// poolCount is what is counted over the servers of one backend. HAProxy has
// columns for the states, but "show stat" leaves them at 0 (seen on 2.6.12).
type poolCount struct {
	name             []byte
	known            int // servers whose state we know
	serving          int
	statuses, checks [16]int // by serverStates and checkStates
	any              bool
}

func (c *poolCount) count(status, check []byte) {
	c.any = true
	if i := slices.Index(serverStates, serverState(text(status))); i >= 0 {
		c.statuses[i]++
	}
	if i := slices.Index(checkStates, checkState(text(check))); i >= 0 {
		c.checks[i]++
	}
}

// flush ends a backend's servers.
func (c *poolCount) flush(p *page) {
	if c.known > 0 && p.members.pools != nil {
		p.members.pools.Add([]byte(labelsOf(p.device, edge.LabelPool, string(c.name))))
		for _, s := range []struct {
			c *promtext.Column
			n int
		}{{p.members.total, c.known}, {p.members.inService, c.serving}} {
			if s.c != nil {
				s.c.Number(strconv.AppendInt(p.scratch[:0], int64(s.n), 10))
			}
		}
	}
	*c = poolCount{name: c.name[:0]}
}
