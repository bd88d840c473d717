package collect

import (
	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// What we tell of servers beyond HAProxy's own exporter: column status names one
// of several things that may be true at once. Source: facts 2.1 and 3.2.
var (
	serverFlag  = family{"sluice_haproxy_server_admin_flag", promtext.Gauge, "1 for each administrative bit that is set (srv_admin_state); the others have no series."}
	drainedDown = family{"sluice_haproxy_server_drained_down", promtext.Gauge, "Whether the server is drained and down at once; its status says DOWN alone."}
	weightless  = family{"sluice_haproxy_server_weight_drained", promtext.Gauge, "Whether a weight of 0 keeps new traffic away; its status says UP."}
	agentOn     = family{"sluice_haproxy_server_agent_enabled", promtext.Gauge, "Whether an agent check may change the server's state."}

	memberFamilies = []family{memberAdmin, memberServing, poolMembers, poolServing, serverFlag, drainedDown, weightless, agentOn}
)

// memberSeries writes what is known of servers as members of pools.
type memberSeries struct {
	lines *haproxy.ServerLines
	// ahead has servers whose rows didn't come when they were due: they came, went
	// or moved between the two commands. Mostly there is none.
	ahead map[[2]string]haproxy.ServerLine

	rows                                *promtext.Rows
	admin, serving, down, weight, agent *promtext.Column
	flags                               *promtext.Family

	pools            *promtext.Rows
	total, inService *promtext.Column

	prefix string
	labels []byte
}

var (
	adminWords = []string{edge.Ready.String(), edge.Drain.String(), edge.Maint.String()} // by edge.Admin
	// flagEnds has the end of the series of each bit.
	flagEnds = func() (all []flagEnd) {
		for _, f := range []struct {
			bit  haproxy.Flags
			name string
		}{
			{haproxy.ForcedMaint, "forced_maint"},
			{haproxy.InheritedMaint, "inherited_maint"},
			{haproxy.ConfigMaint, "config_maint"},
			{haproxy.ForcedDrain, "forced_drain"},
			{haproxy.InheritedDrain, "inherited_drain"},
			{haproxy.ResolveMaint, "resolution"},
			{haproxy.FQDNChanged, "fqdn_changed"},
		} {
			all = append(all, flagEnd{f.bit, []byte("," + promtext.Labels("flag", f.name) + "} 1")})
		}
		return all
	}()
)

type flagEnd struct {
	bit haproxy.Flags
	end []byte
}

// begin begins the families that are wanted.
func (m *memberSeries) begin(p *page, columns int) {
	if p.scopes&server == 0 {
		return
	}
	m.rows, m.pools = promtext.NewRows(p.expected(haproxy.ServerRow, columns)), new(promtext.Rows)
	numbers := func(f family, rows *promtext.Rows) *promtext.Column {
		if !p.has(f.name) {
			return nil
		}
		return begin(p.sheet, f).Numbers(rows, "")
	}
	if p.has(memberAdmin.name) {
		m.admin = begin(p.sheet, memberAdmin).States(m.rows, adminWords)
	}
	m.serving = numbers(memberServing, m.rows)
	m.total, m.inService = numbers(poolMembers, m.pools), numbers(poolServing, m.pools)
	if !p.web { // there, nobody tells the bits
		if p.has(serverFlag.name) {
			m.flags = begin(p.sheet, serverFlag)
		}
		m.down = numbers(drainedDown, m.rows)
	}
	m.weight, m.agent = numbers(weightless, m.rows), numbers(agentOn, m.rows)
	if p.device != "" {
		m.prefix = promtext.Labels(edge.LabelDevice, p.device) + ","
	}
	m.prefix += edge.LabelPool + `="`
}

// find returns the state of the server of a row. Both answers have the servers in
// the same order.
func (m *memberSeries) find(p *page, r *haproxy.Record) (l haproxy.ServerLine, known bool, err error) {
	if p.web {
		l.Op, l.Admin = haproxy.StatusOf(text(r.At(p.status)))
		return l, true, nil
	}
	if len(m.ahead) > 0 {
		if l, ok := m.ahead[[2]string{text(r.Proxy), text(r.Service)}]; ok {
			return l, true, nil
		}
	}
	for {
		l, more, err := m.lines.Next()
		switch {
		case err != nil || !more:
			return l, false, err
		case string(l.Backend) == string(r.Proxy) && string(l.Name) == string(r.Service):
			return l, true, nil
		case m.ahead == nil:
			m.ahead = make(map[[2]string]haproxy.ServerLine)
		}
		m.ahead[[2]string{string(l.Backend), string(l.Name)}] = l
	}
}

func (m *memberSeries) write(p *page, r *haproxy.Record, hidden bool) error {
	if m.rows == nil || !p.web && m.lines == nil {
		return nil
	}
	s, known, err := m.find(p, r)
	if err != nil || !known {
		return err
	}
	weight, status := r.Int(p.weight), text(r.At(p.status))
	serves := haproxy.Serves(s.Op, s.Admin, weight, string(r.At(p.backup)) == "1", status)
	p.pool.known++
	if serves {
		p.pool.serving++
	}
	if hidden {
		return nil
	}
	m.labels = append(m.labels[:0], m.prefix...)
	m.labels = promtext.AppendEscaped(m.labels, r.Proxy)
	m.labels = append(m.labels, `",member="`...)
	m.labels = promtext.AppendEscaped(m.labels, r.Service)
	m.labels = append(m.labels, '"')
	m.rows.Add(m.labels)
	if m.admin != nil {
		m.admin.State(int(s.Admin.State()))
	}
	mark(m.serving, serves)
	if m.flags != nil && s.Admin != 0 {
		for _, f := range flagEnds {
			if s.Admin&f.bit != 0 {
				m.flags.Line(m.labels, f.end)
			}
		}
	}
	mark(m.down, s.Admin.Drain() && s.Op == haproxy.Stopped)
	mark(m.weight, s.Op.Up() && s.Admin.State() == edge.Ready && weight == 0)
	mark(m.agent, s.Agent)
	return nil
}

func mark(c *promtext.Column, on bool) {
	if c != nil {
		c.Flag(on)
	}
}
