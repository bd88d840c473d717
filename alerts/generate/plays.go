package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/alerts/scenes"
)

// A test is one of promtool's.
type test struct {
	name   string
	scrape time.Duration
	series []string // "{series: ..., values: ...}"
	checks []check
}

// A check is what a query answers at a time: the labels of its samples, all of them 1.
type check struct {
	query string
	at    time.Duration
	want  []string
}

func (t *test) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "  - name: %s\n    interval: %s\n    input_series:\n", single(t.name), model.Duration(t.scrape))
	for _, s := range t.series {
		fmt.Fprintf(b, "      - %s\n", s)
	}
	b.WriteString("    promql_expr_test:\n")
	for _, c := range t.checks {
		fmt.Fprintf(b, "      - expr: %s\n        eval_time: %s\n", single(c.query), model.Duration(c.at))
		if len(c.want) > 0 {
			b.WriteString("        exp_samples:\n")
		}
		for _, w := range c.want {
			fmt.Fprintf(b, "          - {labels: %s, value: 1}\n", single(w))
		}
	}
	b.WriteString("\n")
}

func single(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// gone are the alerts that begin where series end: tests by hand have them.
var gone = map[string]bool{"ExporterDown": true, "RemediatorDown": true}

// tests are all that a rule must bear.
func (p play) tests() []*test {
	sick := p.scene.Sick
	firing := fmt.Sprintf(`ALERTS{alertname=%q,alertstate="firing"}`, p.scene.Alert)
	itself, another, third := func(s string) string { return s }, p.other("b", "192.0.2.19:"), p.other("c", "192.0.2.29:")
	fired := []string{p.fired(itself)}

	twins := p.test("has the labels of two that are sick, and none of one that is well",
		merged(sick, renamed(sick, another), renamed(p.scene.Well, third)), part{goes, p.run})
	if p.hold > p.pace.evaluate {
		twins.check(firing, p.hold-p.pace.evaluate, nil)
	}
	twins.check(firing, p.at(p.run-1), append(fired, p.fired(another)))

	gap := []part{{goes, p.run}, {missed, p.pace.missing}, {goes, 2 * p.perEvaluation()}}
	well := []part{{goes, p.run}, {missed, p.pace.missing}, {goes, 4}, {restarts, 1}, {goes, p.run}}
	name := "goes on over a gap in the samples"
	if !gone[p.scene.Alert] {
		name += ", and falls silent when its series are stale"
		gap, well = append(gap, part{ends, 1}), append(well, part{ends, 1})
	}
	again := p.run + p.pace.missing // the first scrape after the gap
	lasts := p.test(name, sick, gap...)
	if p.perEvaluation() == 1 {
		lasts.check(firing, p.at(again-1), fired)
	}
	lasts.check(firing, p.at(again), fired)
	if !gone[p.scene.Alert] {
		lasts.check(firing, p.at(again+2*p.perEvaluation()+p.forgotten), nil)
	}

	reload := p.test("fires again after a reload", sick, part{goes, 4}, part{restarts, 1}, part{goes, p.run})
	reload.check(firing, p.at(p.run+4), fired)

	quiet := p.test("doesn't fire over a gap, a reload and the end of well series", p.scene.Well, well...)
	last := p.at(again + 5 + p.run)
	if !gone[p.scene.Alert] {
		last = p.at(again + 5 + p.run + p.forgotten)
	}
	quiet.check("count_over_time("+firing+"["+model.Duration(last).String()+"])", last, nil)

	all := []*test{twins, lasts, reload, quiet}
	for _, m := range p.scene.In {
		name, want := "doesn't fire in maintenance: ", []string(nil)
		if m.Fires {
			name, want = "fires in maintenance: ", fired
		}
		t := p.test(name+m.What, p.scene.Within(m), part{goes, p.run})
		t.check(firing, p.at(p.run-1), want)
		all = append(all, t)
	}
	return all
}

func (p play) test(name string, series scenes.Series, life ...part) *test {
	t := &test{name: p.scene.Alert + " " + name, scrape: p.pace.scrape}
	for _, s := range slices.Sorted(maps.Keys(series)) {
		t.series = append(t.series, fmt.Sprintf("{series: %s, values: %s}", single(told(s)), single(values(s, series[s], life))))
	}
	return t
}

func (t *test) check(query string, at time.Duration, want []string) {
	t.checks = append(t.checks, check{query, at, want})
}

func (p play) perEvaluation() int { return int(p.pace.evaluate / p.pace.scrape) }

// at is the first evaluation at or after a scrape.
func (p play) at(scrape int) time.Duration {
	n := p.perEvaluation()
	return time.Duration((scrape+n-1)/n) * p.pace.evaluate
}

// fired is what ALERTS says while the rule fires.
func (p play) fired(rename func(string) string) string {
	out := fmt.Sprintf(`ALERTS{alertname=%q,alertstate="firing",%s,severity=%q`, p.scene.Alert, rename(p.scene.Labels), string(p.rule.Severity))
	if p.policy != "" {
		out += fmt.Sprintf(`,remediation=%q`, p.policy)
	}
	return out + "}"
}

// other makes of what a scene is about another one.
func (p play) other(letter, address string) func(string) string {
	return func(s string) string {
		if p.scene.Other == "" {
			return strings.ReplaceAll(s, "192.0.2.9:", address)
		}
		return strings.ReplaceAll(s, `="`+p.scene.Other+`"`, `="`+p.scene.Other+"-"+letter+`"`)
	}
}

func renamed(in scenes.Series, rename func(string) string) scenes.Series {
	out := scenes.Series{}
	for s, v := range in {
		out[rename(told(s))] = v
	}
	return out
}

// merged are all; what the later ones share with the first is as it is there.
func merged(all ...scenes.Series) scenes.Series {
	out := scenes.Series{}
	for _, some := range all {
		for s, v := range some {
			if _, ok := out[told(s)]; !ok {
				out[told(s)] = v
			}
		}
	}
	return out
}

// told puts in who tells a series, where it isn't said.
func told(series string) string {
	if strings.Contains(series, "job=") {
		return series
	}
	name, labels, found := strings.Cut(series, "{")
	by := `job="sluice-exporter",instance="192.0.2.9:9101"`
	for _, prefix := range []string{"sluice_remediation_", "sluice_maintenance_"} {
		if strings.HasPrefix(name, prefix) {
			by = `job="sluice-remediator",instance="192.0.2.9:11011"`
		}
	}
	if !found {
		return name + "{" + by + "}"
	}
	return name + "{" + by + "," + labels
}

// A part is some scrapes of a series' life.
type part struct {
	what    what
	scrapes int
}

type what int

const (
	goes     what = iota
	missed        // Prometheus got nothing and knows nothing of it
	restarts      // the program is away for a scrape, and counts from zero
	ends          // the series is gone
)

// values are a series' life in promtool's notation.
func values(series, value string, life []part) string {
	grows, err := strconv.Atoi(strings.TrimLeft(value, "+="))
	counts := err == nil && strings.ContainsAny(value[:1], "+=")
	var stands int
	if counts && value[0] == '=' {
		stands, grows = grows, 0
	}
	gauge := strings.Fields(value)
	var out []string
	for _, p := range life {
		switch {
		case p.what == ends:
			out = append(out, "stale")
		case p.what == restarts:
			stands = 0
			if strings.HasPrefix(series, "up{") { // Prometheus' own word never ends
				out = append(out, "0")
				continue
			}
			out = append(out, "stale")
		case p.what == missed:
			out = append(out, slices.Repeat([]string{"_"}, p.scrapes)...)
			stands += grows * p.scrapes
		case counts:
			out = append(out, fmt.Sprintf("%d+%dx%d", stands, grows, p.scrapes-1))
			stands += grows * p.scrapes
		case len(gauge) == 1:
			out = append(out, fmt.Sprintf("%sx%d", value, p.scrapes-1))
		default:
			for i := range p.scrapes {
				out = append(out, gauge[i%len(gauge)])
			}
		}
	}
	return strings.Join(out, " ")
}
