package collect

import (
	"slices"
	"strconv"
	"unsafe"

	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// A plan says what becomes of the rows of one type.
type plan struct {
	steps []step
	rows  *promtext.Rows
	// A row's labels are prefix, the proxy's name before each of between, and the
	// row's own name where own says so.
	prefix  string
	between []string
	own     bool
	row     haproxy.Type
}

// A step turns one field of each row into one column of series.
type step struct {
	field   int
	form    form
	column  *promtext.Column
	states  []string
	counted []*promtext.Column     // of an aggregate, one for each state
	counts  func(*poolCount) []int // what is counted
	texts   *texts                 // of an info
}

// plan finds what is wanted of the rows of one object, and begins its families.
func (p *page) plan(o haproxyObject, field func(string) int, names []string) plan {
	out := plan{row: o.row, own: o.label != "", rows: new(promtext.Rows)}
	if p.scopes&o.scope == 0 || !p.rows.Has(o.row) {
		return out
	}
	out.rows = promtext.NewRows(p.expected(o.row, len(names)))
	// device="edge1",proxy="shop",server="app1" is prefix, shop, between[0] and the row's own name.
	if p.device != "" {
		out.prefix = promtext.Labels("device", p.device) + ","
	}
	labels := o.proxyLabels(p.profile)
	out.prefix += labels[0] + `="`
	for _, l := range labels[1:] {
		out.between = append(out.between, `",`+l+`="`)
	}
	end := `"`
	if out.own {
		end = `",` + o.label + `="`
	}
	out.between = append(out.between, end)
	for _, c := range columnsOf(p.profile, o) {
		name := "haproxy_" + o.name + "_" + c.name
		at := field(c.from)
		switch {
		case !p.has(name), at < 0 && c.form != aggregate && c.form != info: // unwanted, or this HAProxy is too old to have it
			continue
		case c.form == aggregate && !p.rows.Has(haproxy.ServerRow):
			continue
		}
		f := p.sheet.Family(name, c.kind, c.help)
		s := step{field: at, form: c.form}
		switch c.form {
		case status:
			s.states = o.states
			s.column = f.States(out.rows, s.states)
		case check:
			s.states = checkStates
			s.column = f.States(out.rows, s.states)
		case aggregate:
			s.states, s.counts = serverStates, func(n *poolCount) []int { return n.statuses[:] }
			if c.from == "check_status" {
				s.states, s.counts = checkStates, func(n *poolCount) []int { return n.checks[:] }
			}
			for _, word := range s.states {
				s.counted = append(s.counted, f.Numbers(out.rows, promtext.Labels("state", word)))
			}
		case info:
			s.texts = textsOf(c.from, f, field)
		default:
			s.column = f.Numbers(out.rows, c.more)
		}
		out.steps = append(out.steps, s)
	}
	if p.extra {
		out.steps = append(out.steps, p.extraSteps(o, out.rows, names)...)
	}
	return out
}

// expected is how many rows of a type may come: as many as last time. Room is set
// aside for them in each column, so that what a hostile device said before is
// believed within reason.
func (p *page) expected(row haproxy.Type, columns int) int {
	const room = 32 << 20
	return min(int(p.counts.rows[row].Load()), room/max(columns, 1))
}

// label appends the labels that all series of a row have.
func (p *plan) label(b []byte, r *haproxy.Record) []byte {
	b = append(b, p.prefix...)
	for _, s := range p.between {
		b = promtext.AppendEscaped(b, r.Proxy)
		b = append(b, s...)
	}
	if p.own {
		b = promtext.AppendEscaped(b, r.Service)
		b = append(b, '"')
	}
	return b
}

// row takes the values of one row.
func (p *page) row(r *haproxy.Record, plan *plan) {
	p.labels = plan.label(p.labels[:0], r)
	plan.rows.Add(p.labels)
	for i := range plan.steps {
		s := &plan.steps[i]
		v := r.At(s.field)
		if s.form == plain && len(v) == 1 && v[0]-'0' <= 9 { // most are
			s.column.Digit(v[0])
			continue
		}
		switch s.form {
		case web:
			if string(r.At(p.mode)) != "http" {
				v = nil
			}
			fallthrough
		case plain:
			if !promtext.IsNumber(v) {
				v = nil // it doesn't apply
			}
			s.column.Number(v)
		case milli:
			p.scratch = promtext.AppendSeconds(p.scratch[:0], v)
			s.column.Number(p.scratch)
		case status:
			s.column.State(placeOf(s.states, objectState(plan.row, text(v))))
		case check:
			place := promtext.None // there is no check
			if len(v) > 0 {
				place = placeOf(s.states, checkState(text(v)))
			}
			s.column.State(place)
		case serves:
			s.column.Flag(inService(plan.row, text(v)))
		case aggregate:
			counts := s.counts(&p.pool)
			for j, c := range s.counted {
				p.scratch = p.scratch[:0]
				if p.pool.any {
					p.scratch = strconv.AppendInt(p.scratch, int64(counts[j]), 10)
				}
				c.Number(p.scratch)
			}
		case info:
			p.scratch = s.texts.write(p.scratch[:0], p.labels, r)
		}
	}
}

// text views a field as a string, for as long as its row is at hand.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// placeOf finds the state in force among those that have a series.
func placeOf(states []string, now string) int {
	if i := slices.Index(states, now); i >= 0 {
		return i
	}
	return promtext.NoneOf
}

// inService says whether a status means service, as haproxy_exporter's "up" has
// it: "UP 1/3" is on its way down and still up, a drained server serves those
// it has. It compares literal texts, and so has other counts of checks for down
// (facts 2.4); that is mended here.
func inService(t haproxy.Type, status string) bool {
	switch objectState(t, status) {
	case "UP", "DRAIN", "OPEN":
		return true
	}
	return false
}
