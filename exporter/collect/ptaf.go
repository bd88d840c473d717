package collect

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// A line is one metric of a PTAF: where its value stands in the API's objects,
// its family, and how one device's series are written. from is empty where it is
// our own finding.
type line[A any] struct {
	from string
	family
	write func(a A, w *promtext.Sheet)
}

// answerOf is what a device said, to be written line by line; with gives it the
// labels of its series.
func answerOf[A any](lines []line[A], refused map[string]string, with func(device string) A) answer {
	return answer{refused: refused, write: func(s *promtext.Sheet, device string, wanted names) {
		a := with(device)
		for _, l := range lines {
			if wanted.has(l.name) {
				s.Family(l.name, l.kind, l.help)
				l.write(a, s)
			}
		}
	}}
}

func ptafGauge(name, help string) family { return family{"ptaf_" + name, promtext.Gauge, help} }

// What 3.x and PRO both say: an upstream is a traffic profile there.
var (
	ptafUp = ptafGauge("up", "Whether the PTAF answered, whole and in time.")

	upstreamInfo         = ptafGauge("upstream_info", "The id behind an upstream's name; the value is 1.")
	upstreamBackends     = ptafGauge("upstream_backends", "Backends of the upstream, in rotation or not.")
	upstreamBackendsDown = ptafGauge("upstream_backends_down", "Backends of the upstream that are taken out.")
	upstreamRefused      = ptafGauge("upstream_refused", "1 for an upstream that is not served: its name occurs twice, it isn't there, its object makes no sense.")

	backendDown     = ptafGauge("backend_down", "Whether the backend is taken out, by a person or by Sluice. No word on its health.")
	backendWeight   = ptafGauge("backend_weight", "Weight as configured, in rotation or not.")
	backendMaxFails = ptafGauge("backend_max_fails", "Failed tries after which PTAF leaves the backend alone for a while; 0 turns the counting off.")
)

// ptafLines are the metrics of a PTAF 3.x. Fields are those of API v2.
// Source: facts A1.3 and A1.6.
var ptafLines = []line[*ptafAnswer]{
	{"", ptafGauge("actionable", "Whether steps can be taken on this device, as far as reading tells."), func(a *ptafAnswer, w *promtext.Sheet) {
		w.Flag(a.device, "", a.ReadOnly == "")
	}},
	{"", ptafGauge("node_up", "Whether this node of the cluster gave its upstreams."), ofNodes(func(n ptaf.Node) (float64, bool) { return bit(n.Up), true })},
	{"gateways.active", ptafGauge("node_active", "Whether this node is the active one of the cluster. Absent while nobody knows."), ofNodes(func(n ptaf.Node) (float64, bool) { return answered(n.Active) })},
	{"gateways.active", ptafGauge("gateway_active", "Whether the WAF node is active, by the device's own list of nodes."), (*ptafAnswer).gateways},
	{"", ptafGauge("nodes_diverge", "Whether nodes of the cluster show the upstream differently. Absent while fewer than two answer."), (*ptafAnswer).diverging},

	{"upstreams.id", upstreamInfo, func(a *ptafAnswer, w *promtext.Sheet) {
		for _, u := range a.upstreams {
			w.Flag(u.labels, promtext.Labels("id", u.ID), true)
		}
	}},
	{"upstreams.backends", upstreamBackends, ofUpstreams(func(u ptaf.Upstream) (float64, bool) { return float64(len(u.Backends)), true })},
	{"upstreams.backends.down", upstreamBackendsDown, ofUpstreams(func(u ptaf.Upstream) (float64, bool) {
		n := 0
		for _, b := range u.Backends {
			if b.Down {
				n++
			}
		}
		return float64(n), true
	})},
	{"upstreams.ip_hash", ptafGauge("upstream_ip_hash", "Whether clients are shared out by their address (ip_hash)."), ofUpstreams(func(u ptaf.Upstream) (float64, bool) { return bit(u.IPHash), true })},
	{"upstreams.least_conn", ptafGauge("upstream_least_conn", "Whether the backend with the fewest connections is chosen (least_conn)."), ofUpstreams(func(u ptaf.Upstream) (float64, bool) { return bit(u.LeastConn), true })},
	{"upstreams.transparent", ptafGauge("upstream_transparent", "Whether backends see the client's own address (transparent)."), ofUpstreams(func(u ptaf.Upstream) (float64, bool) { return bit(u.Transparent), true })},
	{"upstreams.keepalive", ptafGauge("upstream_keepalive_connections", "Idle connections to the backends that each worker keeps (keepalive). Absent where none are."), ofUpstreams(func(u ptaf.Upstream) (float64, bool) { return float64(u.Keepalive), u.Keepalive > 0 })},
	{"upstreams.read_timeout", ptafGauge("upstream_read_timeout_seconds", "How long a backend may keep silent while it answers (read_timeout)."), ofUpstreams(func(u ptaf.Upstream) (float64, bool) { return u.ReadTimeout.Seconds(), u.ReadTimeout > 0 })},
	{"upstreams.last_modified", ptafGauge("upstream_last_modified_timestamp_seconds", "When the upstream was changed last, in Unix time, by the device's clock."), ofUpstreams(func(u ptaf.Upstream) (float64, bool) { return timestamp(u.LastModified) })},
	{"", upstreamRefused, func(a *ptafAnswer, w *promtext.Sheet) { writeRefused(w, a.name, a.Refused) }},

	{"upstreams.backends.down", backendDown, ofBackends(func(b ptaf.Backend) (float64, bool) { return bit(b.Down), true })},
	{"upstreams.backends.backup", ptafGauge("backend_backup", "Whether the backend gets traffic only when all others are out."), ofBackends(func(b ptaf.Backend) (float64, bool) { return bit(b.Backup), true })},
	{"upstreams.backends.weight", backendWeight, ofBackends(func(b ptaf.Backend) (float64, bool) { return float64(b.Weight), true })},
	{"upstreams.backends.max_fails", backendMaxFails, ofBackends(func(b ptaf.Backend) (float64, bool) { return number(b.MaxFails) })},
}

// ptafAnswer is what one PTAF 3.x said, with the labels of its series.
type ptafAnswer struct {
	ptaf.Reading
	name      string
	device    string   // label
	nodes     []string // labels, as Reading.Nodes
	upstreams []ptafUpstream
}

type ptafUpstream struct {
	ptaf.Upstream
	labels   string
	backends []string // labels, as Upstream.Backends
}

func readPTAF(ctx context.Context, d *fleet.Device) (edge.Snapshot, answer, error) {
	r, err := d.PTAF().Read(ctx)
	if err != nil {
		return edge.Snapshot{}, answer{}, err
	}
	return r.Snapshot(d.Name()), answerOf(ptafLines, r.Refused, func(device string) *ptafAnswer { return newPTAFAnswer(device, r) }), nil
}

func newPTAFAnswer(device string, r ptaf.Reading) *ptafAnswer {
	a := &ptafAnswer{Reading: r, name: device, device: labelsOf(device)}
	names := make(namer)
	for _, n := range r.Nodes {
		a.nodes = append(a.nodes, labelsOf(device, "node", names.of(host(n.URL))))
	}
	for _, u := range r.Upstreams {
		up := ptafUpstream{Upstream: u, labels: labelsOf(device, "upstream", u.Name)}
		for _, b := range u.Backends {
			up.backends = append(up.backends, labelsOf(device, "upstream", u.Name, "backend", b.Name))
		}
		a.upstreams = append(a.upstreams, up)
	}
	return a
}

func (a *ptafAnswer) gateways(w *promtext.Sheet) {
	names := make(namer)
	for _, g := range a.Gateways {
		labels := labelsOf(a.name, "gateway", names.of(cmp.Or(g.Name, g.ID)))
		if v, ok := answered(g.Active); ok {
			w.Value(labels, "", v)
		}
	}
}

func (a *ptafAnswer) diverging(w *promtext.Sheet) {
	up := 0
	for _, n := range a.Nodes {
		if n.Up {
			up++
		}
	}
	if up < 2 {
		return
	}
	names := slices.Clone(a.Diverging) // some may be on other nodes only
	for _, u := range a.Upstreams {
		names = append(names, u.Name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		w.Flag(labelsOf(a.name, "upstream", name), "", slices.Contains(a.Diverging, name))
	}
}

func ofNodes(value func(ptaf.Node) (v float64, known bool)) func(*ptafAnswer, *promtext.Sheet) {
	return func(a *ptafAnswer, w *promtext.Sheet) {
		for i, n := range a.Nodes {
			if v, ok := value(n); ok {
				w.Value(a.nodes[i], "", v)
			}
		}
	}
}

func ofUpstreams(value func(ptaf.Upstream) (v float64, known bool)) func(*ptafAnswer, *promtext.Sheet) {
	return func(a *ptafAnswer, w *promtext.Sheet) {
		for _, u := range a.upstreams {
			if v, ok := value(u.Upstream); ok {
				w.Value(u.labels, "", v)
			}
		}
	}
}

func ofBackends(value func(ptaf.Backend) (v float64, known bool)) func(*ptafAnswer, *promtext.Sheet) {
	return func(a *ptafAnswer, w *promtext.Sheet) {
		for _, u := range a.upstreams {
			for i, b := range u.Backends {
				if v, ok := value(b); ok {
					w.Value(u.backends[i], "", v)
				}
			}
		}
	}
}

// writeRefused names what isn't served. Why stands in the exporter's log, by
// [Look.Refused]: as a label it would be a new series for each wording.
func writeRefused(w *promtext.Sheet, device string, refused map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		w.Flag(labelsOf(device, "upstream", name), "", true)
	}
}

// A namer keeps labels apart where the device has two things of one name, in the
// way of members: the second becomes "name#2".
type namer map[string]int

func (n namer) of(name string) string {
	n[name]++
	if n[name] > 1 {
		return name + "#" + strconv.Itoa(n[name])
	}
	return name
}

func host(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

func bit(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func answered(a edge.Answer) (v float64, ok bool) { return bit(a == edge.Yes), a != edge.Unknown }

func number(n *int) (v float64, ok bool) {
	if n == nil {
		return 0, false
	}
	return float64(*n), true
}

// timestamp reads a time whose format nobody has written down. Guess: RFC 3339
// or seconds since 1970; a number that isn't between 2001 and 2286 counts
// something else.
func timestamp(text string) (seconds float64, ok bool) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return float64(t.UnixMilli()) / 1000, true
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && v >= 1e9 && v < 1e10
}
