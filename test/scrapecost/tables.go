package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/test/rig/figures"
)

// defaultCut is what haproxy_exporter has, by the names of HAProxy's own exporter,
// as a query that the latter takes from HAProxy 3.0 on. The state set of status
// stands for haproxy_exporter's single up.
// Source: haproxy_exporter 0.14.0, haproxy_exporter.go, the three maps of metrics.
func defaultCut() string {
	metrics := make([]string, 0, 64)
	add := func(object, names string) {
		for name := range strings.FieldsSeq(names) {
			metrics = append(metrics, "haproxy_"+object+"_"+name)
		}
	}
	const all = " current_sessions max_sessions limit_sessions sessions_total bytes_in_total bytes_out_total" +
		" current_session_rate max_session_rate http_responses_total"
	const passing = " status current_queue max_queue connection_errors_total response_errors_total retry_warnings_total" +
		" redispatch_warnings_total weight loadbalanced_total client_aborts_total server_aborts_total" +
		" queue_time_average_seconds connect_time_average_seconds response_time_average_seconds total_time_average_seconds"
	const both = " http_comp_bytes_in_total http_comp_bytes_out_total http_comp_bytes_bypassed_total http_comp_responses_total"
	add("frontend", all+both+" requests_denied_total request_errors_total limit_session_rate http_requests_total connections_total")
	add("backend", all+both+passing+" active_servers")
	add("server", all+passing+" check_failures_total downtime_seconds_total check_duration_seconds")
	v := url.Values{"scope": {"frontend", "backend", "server"}, "metrics": {strings.Join(metrics, ",")}}
	return v.Encode()
}

func wallTime(t take) time.Duration   { return t.wall }
func ownCPU(t take) time.Duration     { return t.own }
func haproxyCPU(t take) time.Duration { return t.haproxy }

func sorted(takes []take, of func(take) time.Duration) []time.Duration {
	all := make([]time.Duration, 0, len(takes))
	for _, t := range takes {
		all = append(all, of(t))
	}
	slices.Sort(all)
	return all
}

// median returns 0 where nothing was measured.
func median(takes []take, of func(take) time.Duration) time.Duration {
	all := sorted(takes, of)
	if len(all) == 0 {
		return 0
	}
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func least(takes []take, of func(take) time.Duration) time.Duration {
	all := sorted(takes, of)
	if len(all) == 0 {
		return 0
	}
	return all[0]
}

// An aim is one line of the table of aims.
type aim struct {
	figure string
	text   string
	// of returns the figure, and a second one to show in brackets, by the minima;
	// 0 where there is none.
	of  func(*result) (figure, minimum float64)
	met func(servers int, figure float64) bool
}

func atMost(most float64) func(int, float64) bool {
	return func(_ int, figure float64) bool { return figure <= most }
}

func atLeast(least float64) func(int, float64) bool {
	return func(_ int, figure float64) bool { return figure >= least }
}

// quotient of medians and of minima. What is below the line may be a sum.
func quotient(above *subject, of func(take) time.Duration, below func(take) time.Duration, parts ...*subject) (figure, minimum float64) {
	if above == nil {
		return 0, 0
	}
	var middle, bottom time.Duration
	for _, s := range parts {
		middle += median(s.takes, below)
		bottom += least(s.takes, below)
	}
	return ratio(median(above.takes, of), middle), ratio(least(above.takes, of), bottom)
}

func ratio(a, b time.Duration) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

var goals = []aim{
	{"wall of a whole scrape, plain / (raw read + bare handler)", "at most 1.4", func(r *result) (float64, float64) {
		return quotient(r.plain, wallTime, wallTime, r.raw, r.bare)
	}, atMost(1.4)},
	{"wall of a scrape cut down to haproxy_exporter's set / raw read", "at most 1.5", func(r *result) (float64, float64) {
		return quotient(r.cut, wallTime, wallTime, r.raw)
	}, atMost(1.5)},
	{"own CPU, plain / HAProxy's for the raw read", "at most 0.6", func(r *result) (float64, float64) {
		return quotient(r.plain, ownCPU, haproxyCPU, r.raw)
	}, atMost(0.6)},
	{"own CPU, gzip / HAProxy's for the raw read", "at most 1.5", func(r *result) (float64, float64) {
		return quotient(r.gzip, ownCPU, haproxyCPU, r.raw)
	}, atMost(1.5)},
	{"peak memory, MiB", "at most 64 at 10,000, 256 at 50,000", func(r *result) (float64, float64) {
		return mib(r.plain.memory), 0
	}, func(servers int, figure float64) bool {
		return servers > 50000 || figure <= 256 && (servers > 10000 || figure <= 64)
	}},
	{"haproxy_exporter's CPU / own, plain", "at least 30", func(r *result) (float64, float64) {
		return quotient(r.peerPlain, ownCPU, ownCPU, r.plain)
	}, atLeast(30)},
	{"haproxy_exporter's CPU / own, gzip", "", func(r *result) (float64, float64) {
		return quotient(r.peerGzip, ownCPU, ownCPU, r.gzip)
	}, nil},
	{"haproxy_exporter's wall / that of our cut down scrape", "", func(r *result) (float64, float64) {
		if r.cut == nil {
			return 0, 0
		}
		return quotient(r.peerPlain, wallTime, wallTime, r.cut)
	}, nil},
	{"HAProxy's CPU for our scrape / for its own exporter", "below 1", func(r *result) (float64, float64) {
		return quotient(r.plain, haproxyCPU, haproxyCPU, r.builtin)
	}, func(_ int, figure float64) bool { return figure < 1 }},
	{"bytes of our scrape, plain / of HAProxy's own exporter", "below 1", func(r *result) (float64, float64) {
		return float64(r.plain.size) / float64(r.builtin.size), 0
	}, func(_ int, figure float64) bool { return figure < 1 }},
}

// aims sets the figures beside what was aimed at.
func aims(results []*result) *figures.Table {
	t := &figures.Table{
		Name:  "scrape-aims",
		Title: "One scrape: what was aimed at, and what was reached (ratios by medians, in brackets by minima)",
		Head:  []string{"figure"},
	}
	for _, r := range results {
		t.Head = append(t.Head, figures.Thousands(r.servers)+" servers")
	}
	t.Head = append(t.Head, "aim", "reached")
	for _, a := range goals {
		row := []string{a.figure}
		met, known := true, false
		for _, r := range results {
			figure, minimum := a.of(r)
			if figure == 0 {
				row = append(row, figures.Unknown)
				continue
			}
			cell := short(figure)
			if minimum != 0 {
				cell += " (" + short(minimum) + ")"
			}
			row = append(row, cell)
			if a.met != nil {
				known = true
				met = met && a.met(r.servers, figure)
			}
		}
		reached := ""
		switch {
		case a.met != nil && known:
			reached = figures.Met(met)
		case a.met != nil:
			reached = "not measured"
		}
		t.Add(append(row, a.text, reached)...)
	}
	return t
}

// measured shows all that was measured.
func measured(results []*result) *figures.Table {
	t := &figures.Table{
		Name:  "scrape-measured",
		Title: "One scrape: all that was measured (CPU: median)",
		Head:  []string{"who", "servers", "MB", "wall, least", "wall, median", "own CPU", "HAProxy's CPU", "peak memory", "times"},
	}
	for _, r := range results {
		for _, s := range r.subjects() {
			own, memory := figures.Unknown, figures.Unknown
			if s.process != nil {
				own = milli(median(s.takes, ownCPU))
			}
			if s.memory > 0 {
				memory = fmt.Sprintf("%.0f MiB", mib(s.memory))
			}
			t.Add(s.name, figures.Thousands(r.servers), fmt.Sprintf("%.2f", float64(s.takes[len(s.takes)-1].bytes)/1e6),
				milli(least(s.takes, wallTime)), milli(median(s.takes, wallTime)), own,
				milli(median(s.takes, haproxyCPU)), memory, fmt.Sprint(len(s.takes)))
		}
	}
	return t
}

func short(f float64) string {
	if f >= 10 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

func milli(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.2f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
