package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/test/incidents/record"
	"github.com/sluice-project/sluice/test/rig"
)

// How often each part is asked, and so how exact the times are. Those of the
// journal and of messages are exact.
const (
	askDevices = 100 * time.Millisecond
	askOthers  = 250 * time.Millisecond
	patience   = 2 * time.Second // for one answer
)

// A watch notes all that happens to a rig, from its start on.
type watch struct {
	rig   *rig.Rig
	clean *strings.Replacer // addresses of this run become words that stay

	mu   sync.Mutex
	zero time.Time // not yet: the zero time
	run  *record.Run

	alerts   map[string]*life        // as Prometheus has them, by name and labels
	said     map[string]*life        // as Alertmanager has those of the remediator's own
	muted    map[string]*record.Mute // by alert
	verdicts map[string]string       // by member
	states   map[string]string       // by member, of the device
	checks   map[string]string       // by member, of HAProxy's own
	silent   map[string]bool         // parts that don't answer
	seq      uint64                  // of the journal
}

// A life is an alert that isn't over.
type life struct {
	record.Alert
	before bool // it began before time 0, and is no part of the incident
}

func newWatch(r *rig.Rig, run *record.Run) *watch {
	names := []string{
		r.Exporter.Address, "exporter", r.Remediator.Address, "remediator", r.Alertmanager.Address, "alertmanager",
		r.Prometheus.Address, "prometheus", r.HAProxy.Front, "haproxy", r.Dir, "",
	}
	if r.WAF != nil {
		names = append(names, host(r.WAF.URL), "ptaf", r.WAF.Front, "ptaf")
	}
	for _, m := range r.Members {
		names = append(names, m.Address, m.Name)
	}
	return &watch{
		rig: r, run: run, clean: strings.NewReplacer(names...),
		alerts: map[string]*life{}, said: map[string]*life{}, muted: map[string]*record.Mute{},
		verdicts: map[string]string{}, states: map[string]string{}, checks: map[string]string{}, silent: map[string]bool{},
	}
}

// passing are what the kernel chooses anew each time: ports of clients.
var passing = regexp.MustCompile(`(read|write) tcp \S+->`)

func (w *watch) text(s string) string {
	s = passing.ReplaceAllString(strings.TrimSpace(w.clean.Replace(s)), "$1 tcp ")
	return clock.ReplaceAllStringFunc(s, func(at string) string {
		t, err := time.Parse("2006-01-02 15:04:05 MST", at)
		if err != nil || w.zero.IsZero() {
			return at
		}
		return fmt.Sprintf("second %.0f", t.Sub(w.zero).Seconds())
	})
}

// clock is a time of the day in a text: it is told by the record's own clock.
var clock = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`)

// begin is time 0.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.zero = time.Now()
	for _, all := range []map[string]*life{w.alerts, w.said} {
		for _, l := range all {
			l.before = true
		}
	}
}

// at is a moment on the record's clock; ok is false before time 0.
func (w *watch) at(t time.Time) (s float64, ok bool) {
	if w.zero.IsZero() || t.Before(w.zero) {
		return 0, false
	}
	return t.Sub(w.zero).Seconds(), true
}

// note adds an event. Call it with the lock held.
func (w *watch) note(t time.Time, who, what, of string) {
	if at, ok := w.at(t); ok {
		w.run.Events = append(w.run.Events, record.Event{At: at, Who: who, What: w.text(what), Of: of})
	}
}

// mark is note for what the script does.
func (w *watch) mark(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(time.Now(), record.Script, what, "")
}

// follow asks all parts again and again until ctx ends.
func (w *watch) follow(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, part := range []struct {
		name string
		pace time.Duration
		ask  func(context.Context) error
	}{
		{"HAProxy", askDevices, w.haproxy},
		{"PTAF", askDevices, w.waf},
		{"exporter", askOthers, w.exporter},
		{"Prometheus", askOthers, w.prometheus},
		{"Alertmanager", askOthers, w.alertmanager},
		{"remediator", askOthers, w.journal},
	} {
		wg.Go(func() {
			tick := time.NewTicker(part.pace)
			defer tick.Stop()
			for {
				ask, cancel := context.WithTimeout(ctx, patience)
				err := part.ask(ask)
				cancel()
				if ctx.Err() != nil {
					return
				}
				w.answers(part.name, err)
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
}

// answers notes when a part begins or ceases to answer.
func (w *watch) answers(part string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if (err != nil) == w.silent[part] {
		return
	}
	w.silent[part] = err != nil
	if err != nil {
		w.note(time.Now(), part, "doesn't answer who watches here", "")
		return
	}
	w.note(time.Now(), part, "answers again", "")
}

// changed keeps the new value, and says whether it differs from one that was known.
func changed(known map[string]string, name, now string) bool {
	was, ok := known[name]
	known[name] = now
	return ok && was != now
}

func (w *watch) haproxy(ctx context.Context) error {
	servers, err := w.rig.HAProxy.Servers(ctx, rig.Pool)
	if err != nil {
		return err
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		s, member := servers[name], rig.Device+"/"+rig.Pool+"/"+name
		state := "ready"
		switch {
		case s.Admin&rig.AdminMaint != 0:
			state = "maint"
		case s.Admin&rig.AdminDrain != 0:
			state = "drain"
		}
		if changed(w.states, member, state) {
			if at, ok := w.at(now); ok {
				w.run.Out = append(w.run.Out, record.Out{At: at, Member: member, State: state})
			}
		}
		if changed(w.states, member+" weight", fmt.Sprint(s.Weight)) {
			w.note(now, "device", fmt.Sprintf("has it with weight %d", s.Weight), member)
		}
		check := "finds it down"
		if s.Op != 0 {
			check = "finds it up"
		}
		if changed(w.checks, member, check) {
			w.note(now, "HAProxy", "its own check "+check, member)
		}
	}
	return nil
}

func (w *watch) waf(context.Context) error {
	if w.rig.WAF == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.rig.Members {
		down, err := w.rig.WAF.Down(m)
		if err != nil {
			return err
		}
		state, member := "up", rig.WAFDevice+"/"+rig.WAFUpstream+"/"+m.Name
		if down {
			state = "DOWN"
		}
		if changed(w.states, member, state) {
			if at, ok := w.at(time.Now()); ok {
				w.run.Out = append(w.run.Out, record.Out{At: at, Member: member, State: state})
			}
		}
	}
	return nil
}

func (w *watch) exporter(ctx context.Context) error {
	families, err := rig.Families(ctx, w.rig.Exporter.URL)
	if err != nil {
		return err
	}
	now := time.Now()
	good, believed := byMember(families["sluice_probe_success"]), byMember(families["sluice_probe_up"])
	w.mu.Lock()
	defer w.mu.Unlock()
	for member, value := range good {
		member = w.text(member)
		if changed(w.verdicts, member+" result", fmt.Sprint(value)) && value == 0 {
			w.note(now, "exporter", "first bad result of its probe", member)
		}
	}
	for member := range good {
		verdict := "unknown"
		if up, ok := believed[member]; ok {
			verdict = map[float64]string{0: "down", 1: "up"}[up]
		}
		if member = w.text(member); changed(w.verdicts, member, verdict) {
			w.note(now, "exporter", "verdict: "+verdict, member)
		}
	}
	return nil
}

func byMember(f *dto.MetricFamily) map[string]float64 {
	out := map[string]float64{}
	for _, m := range f.GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["member"] != "" {
			out[record.Subject(labels)] = m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return out
}

func (w *watch) prometheus(ctx context.Context) error {
	answer, err := w.rig.Prometheus.API.Alerts(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]bool{}
	for _, a := range answer.Alerts {
		key := a.Labels.String()
		seen[key] = true
		l := w.alerts[key]
		if l == nil {
			l = &life{Alert: w.alert(texts(a.Labels)), before: w.zero.IsZero()}
			w.alerts[key] = l
		}
		w.advance(l, a.State, now, texts(a.Annotations))
	}
	w.bury(w.alerts, seen, now)
	return nil
}

func texts(set model.LabelSet) map[string]string {
	out := map[string]string{}
	for k, v := range set {
		out[string(k)] = string(v)
	}
	return out
}

// alert is one by its labels, of which nothing has happened yet.
func (w *watch) alert(labels map[string]string) record.Alert {
	return record.Alert{
		Name: labels["alertname"], Of: w.text(record.Subject(labels)), Severity: labels["severity"],
		Pending: record.Never, Firing: record.Never, Over: record.Never,
	}
}

func (w *watch) advance(l *life, state promv1.AlertState, now time.Time, annotations map[string]string) {
	at, ok := w.at(now)
	switch {
	case !ok:
	case state == promv1.AlertStatePending && l.Pending == record.Never:
		l.Pending = at
	case state == promv1.AlertStateFiring && l.Firing == record.Never:
		l.Firing = at
		l.Summary, l.Text = w.text(annotations["summary"]), w.text(annotations["description"])
	}
}

// bury ends the lives that weren't seen.
func (w *watch) bury(all map[string]*life, seen map[string]bool, now time.Time) {
	for key, l := range all {
		if seen[key] {
			continue
		}
		delete(all, key)
		at, ok := w.at(now)
		switch {
		case !ok:
		case l.before:
			w.note(now, "Prometheus", l.Name+" is over, that was there before", l.Of)
		default:
			l.Over = at
			w.run.Alerts = append(w.run.Alerts, l.Alert)
		}
	}
}

func (w *watch) alertmanager(ctx context.Context) error {
	var all []struct {
		Fingerprint string
		Labels      map[string]string
		Annotations map[string]string
		Status      struct{ InhibitedBy []string }
	}
	if err := rig.GetJSON(ctx, w.rig.Alertmanager.URL+"/api/v2/alerts", &all); err != nil {
		return err
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	names, seen := map[string]string{}, map[string]bool{}
	for _, a := range all {
		names[a.Fingerprint] = w.alert(a.Labels).String()
	}
	own := map[string]bool{}
	for _, a := range all {
		name := names[a.Fingerprint]
		if strings.HasPrefix(a.Labels["alertname"], ownPrefix) {
			own[a.Fingerprint] = true
			l := w.said[a.Fingerprint]
			if l == nil {
				l = &life{Alert: w.alert(a.Labels), before: w.zero.IsZero()}
				l.Own = true
				w.said[a.Fingerprint] = l
			}
			w.advance(l, promv1.AlertStateFiring, now, a.Annotations)
		}
		if len(a.Status.InhibitedBy) == 0 {
			continue
		}
		seen[name] = true
		at, ok := w.at(now)
		if w.muted[name] == nil && ok {
			w.muted[name] = &record.Mute{At: at, Until: record.Never, Alert: name, By: names[a.Status.InhibitedBy[0]]}
		}
	}
	w.bury(w.said, own, now)
	for name, m := range w.muted {
		if !seen[name] {
			m.Until, _ = w.at(now)
			w.run.Mutes = append(w.run.Mutes, *m)
			delete(w.muted, name)
		}
	}
	return nil
}

// ownPrefix is how alerts begin that the remediator posts to Alertmanager itself.
const ownPrefix = "Sluice"

func (w *watch) journal(ctx context.Context) error {
	entries, err := w.rig.Steps(ctx, w.seq)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		w.seq = e.Seq
		if at, ok := w.at(e.At); ok {
			w.entry(at, e)
		}
	}
	return nil
}

// end stops the clock: what isn't over is kept as it is. It returns the record.
func (w *watch) end(ctx context.Context, visits map[string][]rig.Visit) (*record.Run, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.run.Ended, _ = w.at(time.Now())
	for _, all := range []map[string]*life{w.alerts, w.said} {
		for _, l := range all {
			if !l.before {
				w.run.Alerts = append(w.run.Alerts, l.Alert)
			}
		}
	}
	for _, m := range w.muted {
		w.run.Mutes = append(w.run.Mutes, *m)
	}
	if err := w.exactly(ctx); err != nil {
		return nil, err
	}
	for _, through := range slices.Sorted(maps.Keys(visits)) {
		var all []record.Visit
		for _, v := range visits[through] {
			if at, ok := w.at(v.Start); ok {
				n := record.Visit{At: at, Took: v.Took.Seconds()}
				if v.Err != nil {
					n.Error = w.text(v.Err.Error())
				}
				all = append(all, n)
			}
		}
		w.run.Clients = append(w.run.Clients, record.Count(through, all))
	}
	if err := w.messages(); err != nil {
		return nil, err
	}
	w.run.Sort()
	return w.run, nil
}

// exactly puts the times of evaluations, which Prometheus keeps in ALERTS, in the
// place of those at which it was asked, a little later.
func (w *watch) exactly(ctx context.Context) error {
	ago := model.Duration(time.Since(w.zero).Truncate(time.Second) + time.Second)
	answer, _, _, err := w.rig.Prometheus.API.Query(ctx, fmt.Sprintf("ALERTS[%s]", ago), time.Now())
	if err != nil {
		return err
	}
	matrix, ok := answer.(model.Matrix)
	if !ok {
		return fmt.Errorf("ALERTS[%s] gives a %s", ago, answer.Type())
	}
	for _, stream := range matrix {
		labels := texts(model.LabelSet(stream.Metric))
		state := labels["alertstate"]
		delete(labels, "alertstate")
		delete(labels, model.MetricNameLabel)
		for i := range w.run.Alerts {
			a := &w.run.Alerts[i]
			if a.Own || w.alert(labels).String() != a.String() {
				continue
			}
			began := &a.Pending
			if state == string(promv1.AlertStateFiring) {
				began = &a.Firing
			}
			for _, sample := range stream.Values {
				at, ok := w.at(sample.Timestamp.Time())
				if ok && at < *began && at > *began-late {
					*began = at
					break
				}
			}
		}
	}
	return nil
}

// late is how much later than an evaluation its outcome may be seen here.
const late = 2.5

// messages reads what people got, and the first webhook of each claim.
func (w *watch) messages() error {
	for _, h := range w.rig.People.Seen() {
		at, ok := w.at(h.At)
		if !ok {
			continue
		}
		group, err := parse(h)
		if err != nil {
			return err
		}
		m := record.Message{At: at, Status: group.Status}
		for _, a := range group.Alerts {
			name := w.alert(a.Labels).String()
			if a.Status == "firing" {
				m.Fires = append(m.Fires, name)
			} else {
				m.Over = append(m.Over, name)
			}
		}
		slices.Sort(m.Fires)
		slices.Sort(m.Over)
		w.run.Messages = append(w.run.Messages, m)
	}
	last := map[string]string{}
	for _, h := range w.rig.Webhooks.Seen() {
		group, err := parse(h)
		if err != nil {
			return err
		}
		for _, a := range group.Alerts {
			of := w.alert(a.Labels)
			if of.Name == "Watchdog" || last[of.String()] == a.Status {
				continue // repeats say nothing new
			}
			last[of.String()] = a.Status
			w.note(h.At, "remediator", "is woken by a webhook: "+of.Name+" "+a.Status, of.Of)
		}
	}
	return nil
}

// A group is the body of Alertmanager's webhook, version 4.
type group struct {
	Status string
	Alerts []struct {
		Status string
		Labels map[string]string
	}
}

func parse(h rig.Webhook) (group, error) {
	var g group
	if err := json.Unmarshal(h.Body, &g); err != nil {
		return g, fmt.Errorf("a message of Alertmanager: %w", err)
	}
	return g, nil
}
