package collect

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// Where we differ from HAProxy's own exporter (compared with 2.6, 3.0, 3.2 and
// 3.5-dev5), beside the label device and what is only ours:
//
//   - Where a field doesn't apply (no limit, no check) it prints NaN. We leave
//     the series out, as other exporters do: a NaN spoils every sum.
//   - haproxy_server_check_code and _agent_code are 0 there for a check that got
//     no code; here they are left out, too.
//   - While a server is in maintenance its check is paused, and "show stat" tells
//     neither the last result nor its duration. There, they stay in
//     haproxy_backend_agg_check_status and haproxy_server_check_duration_seconds.
//   - Its *_time_average_seconds are too small until there were 1024 requests: it
//     divides by 1024 whatever the number. "show stat" divides by how many there
//     were, and so has what haproxy_exporter has. Source: HAProxy 2.6 to 3.5-dev5,
//     swrate_avg in service-prometheus.c and in stats.c.
//   - haproxy_backend_agg_* count servers, so that a scope without servers leaves
//     them out, unless they are asked for by name.
//   - Modules' counters of what is open now are gauges; there they are counters.
//   - haproxy_resolver_* and haproxy_sticktable_local_updates, both of 3.x, are
//     not there: no command that we send tells them.

// haproxyObjects are the four things that "show stat" has rows of, in the order
// of HAProxy's own exporter.
var haproxyObjects = []haproxyObject{
	{haproxy.Frontend, frontend, "F", "frontend", "", []string{"DOWN", "UP"}},
	{haproxy.Listener, listener, "L", "listener", "listener", []string{"OPEN", "FULL", "WAITING"}},
	{haproxy.Backend, backend, "B", "backend", "", []string{"DOWN", "UP"}},
	{haproxy.ServerRow, server, "S", "server", "server", serverStates},
}

type haproxyObject struct {
	row    haproxy.Type
	scope  scopes
	letter string
	name   string // in the metrics' names
	label  string // of the row's own name, beside the proxy's; "" for none
	states []string
}

// proxyLabels are the names of the label that has the proxy's name.
func (o haproxyObject) proxyLabels(profile string) []string {
	old := "backend" // haproxy_exporter's; it has none for listeners
	if o.row == haproxy.Frontend || o.row == haproxy.Listener {
		old = "frontend"
	}
	switch profile {
	case fleet.ProfileExporter:
		return []string{old}
	case fleet.ProfileBoth:
		return []string{"proxy", old}
	}
	return []string{"proxy"}
}

var serverStates = []string{"DOWN", "UP", "MAINT", "DRAIN", "NOLB"}

// checkStates are the results of health checks that have a series. A check that
// hasn't ended yet (UNK, INI) is none of them.
var checkStates = []string{
	"HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP",
	"L7TOUT", "L7RSP", "L7OK", "L7OKC", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
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

// lookHAProxy asks for what discovery wants, a fifth of what a scrape reads:
// which servers there are, and where.
func lookHAProxy(ctx context.Context, d *fleet.Device) (edge.Snapshot, answer, error) {
	h := d.HAProxy()
	if h.ReadOnly() {
		r, err := h.Read(ctx)
		if err != nil {
			return edge.Snapshot{}, answer{}, err
		}
		return r.Snapshot(d.Name()), answer{}, nil
	}
	servers, err := h.Servers(ctx, "")
	if err != nil {
		return edge.Snapshot{}, answer{}, err
	}
	snapshot := edge.Snapshot{Device: d.Name(), States: make(map[edge.Member]edge.State, len(servers))}
	for _, s := range servers {
		m := edge.Member{Device: d.Name(), Pool: s.Backend, Name: s.Name}
		snapshot.States[m] = edge.State{Member: m, Address: s.Address, Admin: s.Admin.State()}
	}
	return snapshot, answer{}, nil
}

// A selection is what one scrape wants, by the configuration and by its own cut.
type selection struct {
	device      string // label; empty for none
	profile     string
	scopes      scopes
	names, more names // both must have a name
	noMaint     bool
	extra       bool
	proxies     *regexp.Regexp // nil: all
	except      *regexp.Regexp // nil: none
}

func selectionOf(c *Collector, cut Cut) selection {
	m := c.device.HAProxyMetrics()
	s := selection{
		device: c.label(cut), profile: m.Profile, scopes: scopesOf(m.Scope), names: namesOf(m.Names), more: cut.wanted(),
		noMaint: m.NoMaint || cut.NoMaint,
		extra:   (m.ExtraCounters || cut.Extra) && m.Profile != fleet.ProfileExporter, // which has its metrics alone
	}
	if s.scopes == 0 {
		s.scopes = everyScope
	}
	if cut.scopes != 0 {
		s.scopes &= cut.scopes
	}
	anchored := func(text string) *regexp.Regexp {
		if text == "" {
			return nil
		}
		return regexp.MustCompile(fleet.Anchored(text)) // Validate compiled it
	}
	s.proxies, s.except = anchored(m.Proxies), anchored(m.ExceptProxies)
	return s
}

func (s selection) has(name string) bool { return s.names.has(name) && s.more.has(name) }

func (s selection) byName(name string) bool {
	return s.has(name) && (s.names.byName(name) || s.more.byName(name))
}

func (s selection) hasProxy(name []byte) bool {
	return (s.proxies == nil || s.proxies.Match(name)) && (s.except == nil || !s.except.Match(name))
}

func scrapeHAProxy(ctx context.Context, c *Collector, sheet *promtext.Sheet, cut Cut) error {
	p := newPage(selectionOf(c, cut), sheet, c.counts, c.device.HAProxy().ReadOnly())
	if p.web { // where nobody says which process it is
		p.own(true)
	}
	if err := c.device.HAProxy().Stream(ctx, p.query(), p); err != nil {
		if errors.Is(err, haproxy.ErrAnswer) || errors.Is(err, haproxy.ErrTruncated) {
			c.counts.nonsense.Add(1)
		}
		return fmt.Errorf("read: %w", err)
	}
	p.finish()
	return nil
}

func downHAProxy(c *Collector, sheet *promtext.Sheet, cut Cut) {
	newPage(selectionOf(c, cut), sheet, c.counts, c.device.HAProxy().ReadOnly()).own(false)
}
