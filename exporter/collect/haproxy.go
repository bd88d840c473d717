package collect

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// Where we differ from HAProxy's own exporter of 2.6, beside the label device:
//
//   - Where a field doesn't apply (no limit, no check) it prints NaN. We leave
//     the series out, as other exporters do: a NaN spoils every sum.
//   - haproxy_server_check_code is 0 there for a check that got no code; here it
//     is left out, too.
//   - While a server is in maintenance its check is paused, and "show stat" tells
//     neither the last result nor its duration. There, they stay in
//     haproxy_backend_agg_check_status and haproxy_server_check_duration_seconds.
//   - haproxy_sticktable_* come from another command and are not here.

// haproxyObjects are the four things that "show stat" has rows of, in the order
// of HAProxy's own exporter.
var haproxyObjects = []haproxyObject{
	{haproxy.Frontend, "F", "frontend", "", []string{"DOWN", "UP"}},
	{haproxy.Listener, "L", "listener", "listener", []string{"OPEN", "FULL", "WAITING"}},
	{haproxy.Backend, "B", "backend", "", []string{"DOWN", "UP"}},
	{haproxy.ServerRow, "S", "server", "server", serverStates},
}

type haproxyObject struct {
	row    haproxy.Type
	letter string
	name   string // in the metrics' names
	label  string // of the row's own name, beside proxy; "" for none
	states []string
}

var serverStates = []string{"DOWN", "UP", "MAINT", "DRAIN", "NOLB"}

// checkStates are the results of health checks that have a series. A check that
// hasn't ended yet (UNK, INI) is none of them.
var checkStates = []string{
	"HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP",
	"L7TOUT", "L7RSP", "L7OK", "L7OKC", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
}

// stateLabels has the label of each state, made once.
var stateLabels = func() map[string]string {
	labels := make(map[string]string)
	for _, list := range [][]string{{"OPEN", "FULL", "WAITING"}, serverStates, checkStates} {
		for _, s := range list {
			labels[s] = promtext.Labels("state", s)
		}
	}
	return labels
}()

// A haproxySeries says where the series of one family come from: of the process
// when object is negative, or else of all rows of one object.
type haproxySeries struct {
	object int
	field  field
	column column
}

// haproxyFamilies and haproxySources are made from the tables, in step.
var haproxyFamilies, haproxySources = haproxyMetrics()

func haproxyMetrics() (families []family, sources []haproxySeries) {
	for _, f := range fields {
		families = append(families, family{"haproxy_process_" + f.name, f.kind, f.help})
		sources = append(sources, haproxySeries{object: -1, field: f})
	}
	families = append(families, family{"haproxy_process_build_info", promtext.Gauge, "Version of HAProxy; the value is 1."})
	sources = append(sources, haproxySeries{object: -1})
	for i, o := range haproxyObjects {
		for _, c := range columns {
			if strings.Contains(c.on, o.letter) {
				families = append(families, family{"haproxy_" + o.name + "_" + c.name, c.kind, c.help})
				sources = append(sources, haproxySeries{object: i, column: c})
			}
		}
	}
	return families, sources
}

// haproxyAnswer is what one HAProxy said.
type haproxyAnswer struct {
	device string
	info   haproxy.Info
	stats  haproxy.Stats
	rows   [][]haproxyRow // by object
	// Counted over the servers of each backend: HAProxy has columns of these
	// names, but "show stat" leaves them at 0 (seen on 2.6.12).
	states, checks map[string][]int
}

type haproxyRow struct {
	haproxy.Row
	labels string
}

func readHAProxy(ctx context.Context, d *fleet.Device) (edge.Snapshot, answer, error) {
	r, err := d.HAProxy().Read(ctx)
	if err != nil {
		return edge.Snapshot{}, nil, err
	}
	return r.Snapshot(d.Name()), newHAProxyAnswer(d.Name(), r), nil
}

func newHAProxyAnswer(device string, r haproxy.Reading) *haproxyAnswer {
	a := &haproxyAnswer{
		device: device, info: r.Info, stats: r.Stats,
		rows:   make([][]haproxyRow, len(haproxyObjects)),
		states: make(map[string][]int), checks: make(map[string][]int),
	}
	statusAt, checkAt := r.Stats.Column("status"), r.Stats.Column("check_status")
	for _, row := range r.Stats.Rows {
		i := slices.IndexFunc(haproxyObjects, func(o haproxyObject) bool { return o.row == row.Type })
		pairs := []string{"device", device, "proxy", row.Proxy}
		if label := haproxyObjects[i].label; label != "" {
			pairs = append(pairs, label, row.Service)
		}
		a.rows[i] = append(a.rows[i], haproxyRow{row, promtext.Labels(pairs...)})
		if row.Type == haproxy.ServerRow {
			count(a.states, row.Proxy, serverStates, serverState(row.At(statusAt)))
			count(a.checks, row.Proxy, checkStates, checkState(row.At(checkAt)))
		}
	}
	return a
}

func count(counts map[string][]int, proxy string, states []string, state string) {
	if counts[proxy] == nil {
		counts[proxy] = make([]int, len(states))
	}
	if i := slices.Index(states, state); i >= 0 {
		counts[proxy][i]++
	}
}

func (a *haproxyAnswer) series(w *promtext.Writer, family int) {
	s := haproxySources[family]
	switch {
	case s.object >= 0:
		a.objects(w, s.object, s.column)
	case s.field.name == "":
		w.Flag(promtext.Labels("device", a.device, "version", a.info.Version), "", true)
	default:
		w.Number(promtext.Labels("device", a.device), "", s.field.of(a.info))
	}
}

func (a *haproxyAnswer) objects(w *promtext.Writer, object int, c column) {
	at := a.stats.Column(c.from)
	if at < 0 && c.form != aggregate {
		return // this HAProxy is too old to have it
	}
	rows := a.rows[object]
	switch c.form {
	case plain:
		for i := range rows {
			w.Number(rows[i].labels, c.more, rows[i].At(at))
		}
	case web:
		mode := a.stats.Column("mode")
		for i := range rows {
			if rows[i].At(mode) == "http" {
				w.Number(rows[i].labels, "", rows[i].At(at))
			}
		}
	case milli:
		for i := range rows {
			w.Number(rows[i].labels, "", seconds(rows[i].At(at)))
		}
	case status:
		o := haproxyObjects[object]
		for i := range rows {
			writeStates(w, rows[i].labels, o.states, objectState(o.row, rows[i].At(at)))
		}
	case check:
		for i := range rows {
			if text := rows[i].At(at); text != "" {
				writeStates(w, rows[i].labels, checkStates, checkState(text))
			}
		}
	case aggregate:
		states, counts := serverStates, a.states
		if c.from == "check_status" {
			states, counts = checkStates, a.checks
		}
		for i := range rows {
			for j, n := range counts[rows[i].Proxy] {
				w.Value(rows[i].labels, stateLabels[states[j]], float64(n))
			}
		}
	}
}

func writeStates(w *promtext.Writer, labels string, states []string, now string) {
	for _, s := range states {
		w.Flag(labels, stateLabels[s], s == now)
	}
}

// objectState turns the column status into the state that HAProxy's own exporter
// has for it.
func objectState(t haproxy.Type, text string) string {
	switch t {
	case haproxy.ServerRow:
		return serverState(text)
	case haproxy.Frontend:
		if text == "STOP" {
			return "DOWN"
		}
		return "UP" // OPEN; FULL in old versions
	}
	return text
}

// serverState cuts a server's status to its first word: what follows counts
// checks ("UP 1/3") or says why ("MAINT (via b/s)"). A server without checks
// that nobody took out is up. Source: management guide 9.1, column 17.
func serverState(text string) string {
	if text == "no check" {
		return "UP"
	}
	word, _, _ := strings.Cut(text, " ")
	return word
}

// checkState takes off the mark of a check that is under way: the rest is the
// result of the one before.
func checkState(text string) string { return strings.TrimPrefix(text, "* ") }

// seconds turns milliseconds into seconds; "" when they are no whole number.
func seconds(ms string) string {
	if ms == "0" {
		return ms
	}
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return ""
	}
	return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64)
}
