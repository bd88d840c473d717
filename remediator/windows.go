package remediator

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/calendar"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

// overFor is how long a window that comes once stays after its end, so that people see
// what there was.
const overFor = 24 * time.Hour

// A madeWindow is a maintenance window that people made by the API.
type madeWindow struct {
	Maintenance

	raw     string // what it was read from
	spec    control.WindowSpec
	problem string // why it can't be read: then it is in force for everything
}

// windowOf makes a window of what the API was told, by the configuration's own rules.
func windowOf(s control.WindowSpec) (m Maintenance, wrong edge.Mistakes) {
	m.Members = Members{Device: s.Members.Device, Pool: s.Members.Pool, Member: s.Members.Member}
	m.Window = calendar.Window{
		Name: s.Name, From: calendar.Instant(s.From), To: calendar.Instant(s.To), Start: calendar.ClockTime(s.Start), End: calendar.ClockTime(s.End),
		Cron: s.Cron, Zone: s.Zone, Reason: s.Reason,
	}
	for _, d := range s.Days {
		m.Days = append(m.Days, calendar.Day(d))
	}
	if s.Duration != "" {
		var err error
		if m.Duration, err = model.ParseDuration(s.Duration); err != nil {
			wrong.Add("duration", "%v", err)
		}
	}
	return m, wrong
}

// made reads what the journal has of windows. One that didn't change isn't read
// again. One that can't be read is in force, for everything: to keep still is the
// safe side.
func (r *Remediator) made(all []journal.Window) []*madeWindow {
	r.windowing.Lock()
	defer r.windowing.Unlock()
	var now []*madeWindow
	for _, rec := range all {
		i := slices.IndexFunc(r.windows, func(w *madeWindow) bool { return w.Name == rec.Name && w.raw == string(rec.Spec) })
		if i >= 0 {
			now = append(now, r.windows[i])
			continue
		}
		now = append(now, readWindow(rec))
	}
	r.windows = now
	return now
}

// errOf is all mistakes in one line, each with its key.
func errOf(wrong edge.Mistakes) error {
	var all []string
	for _, w := range wrong {
		text := w.Text
		if w.Path != "" {
			text = w.Path + ": " + w.Text
		}
		all = append(all, text)
	}
	return errors.New(strings.Join(all, "; "))
}

func readWindow(rec journal.Window) *madeWindow {
	w := &madeWindow{raw: string(rec.Spec)}
	err := json.Unmarshal(rec.Spec, &w.spec)
	if err == nil {
		var wrong edge.Mistakes
		w.Maintenance, wrong = windowOf(w.spec)
		wrong.Under("", w.Window.Validate())
		w.Members.validate(nil) // no device has to be there any more
		if w.Members.device == nil || w.Members.pool == nil || w.Members.member == nil {
			wrong.Add("members", "can't be matched")
		}
		if len(wrong) > 0 {
			err = errOf(wrong)
		}
	}
	if err != nil {
		w.problem = "it can't be read: " + oneLine(err)
		w.Maintenance = Maintenance{} // always in force
		w.Members.validate(nil)       // for all
	}
	w.Name = rec.Name
	return w
}

// force says that the window is in force for any of the members, and until when.
func (m *Maintenance) force(now time.Time, members []edge.Member) (text string, is bool) {
	if !slices.ContainsFunc(members, m.Members.Match) {
		return "", false
	}
	until, active := m.At(now)
	if !active {
		return "", false
	}
	return m.Name + " until " + until.UTC().Format(time.RFC3339), true
}

// in returns the windows that people made and that are in force for any of the
// members, each with its end, as [Config.in] does.
func (b barriers) in(now time.Time, members ...edge.Member) (out []string) {
	for _, w := range b.made {
		if text, is := w.force(now, members); is {
			out = append(out, text)
		}
	}
	return out
}

// Windows are those of the configuration, in its order, and those that people made, by
// name.
func (r *Remediator) Windows() (out []control.Window, err error) {
	b := r.barriers()
	if b.unread != "" {
		return nil, errors.New(b.unread)
	}
	r.mu.Lock()
	cfg := r.set.cfg
	r.mu.Unlock()
	if cfg != nil {
		for i := range cfg.Maintenance {
			out = append(out, shown(&cfg.Maintenance[i], control.Window{Source: control.FromConfig, WindowSpec: specOf(&cfg.Maintenance[i])}))
		}
	}
	for i, w := range b.made {
		rec := b.Windows[i]
		one := control.Window{Source: control.FromAPI, WindowSpec: w.spec, Actor: rec.Actor, At: rec.At, Problem: w.problem}
		one.Name = rec.Name
		out = append(out, shown(&w.Maintenance, one))
	}
	return out, nil
}

func shown(m *Maintenance, w control.Window) control.Window {
	now := time.Now()
	w.Until, w.Active = m.At(now)
	if !w.Active {
		w.Until = time.Time{}
	}
	w.Next, _ = m.Next(now)
	return w
}

// specOf is a window of the configuration as the API shows it.
func specOf(m *Maintenance) control.WindowSpec {
	s := control.WindowSpec{
		Name: m.Name, Members: control.Selector{Device: m.Members.Device, Pool: m.Members.Pool, Member: m.Members.Member},
		From: string(m.From), To: string(m.To), Start: string(m.Start), End: string(m.End), Cron: m.Cron, Zone: m.Zone, Reason: m.Reason,
	}
	for _, d := range m.Days {
		s.Days = append(s.Days, string(d))
	}
	if m.Duration != 0 {
		s.Duration = m.Duration.String()
	}
	return s
}

// ErrBadWindow says that a window is none that could be made.
var ErrBadWindow = errors.New("no maintenance window")

// AddWindow makes a maintenance window, which counts as one of the configuration. It
// is durable when AddWindow returns, on all replicas and over reloads.
func (r *Remediator) AddWindow(s control.WindowSpec, actor string) (out control.Window, err error) {
	if r.journal == nil {
		return out, r.broken
	}
	r.mu.Lock()
	set := r.set
	r.mu.Unlock()
	m, wrong := windowOf(s)
	var devices []string
	for name := range set.devices {
		devices = append(devices, name)
	}
	wrong.Under("", m.validate(devices))
	if len(wrong) > 0 {
		return out, fmt.Errorf("%w: %w", ErrBadWindow, errOf(wrong))
	}
	_, active := m.At(time.Now())
	if _, comes := m.Next(time.Now()); !active && !comes {
		return out, fmt.Errorf("%w: it is over already, or comes in more than two years", ErrBadWindow)
	}
	if set.cfg != nil && slices.ContainsFunc(set.cfg.Maintenance, func(c Maintenance) bool { return c.Name == s.Name }) {
		return out, fmt.Errorf("%w, in the configuration: %s", journal.ErrWindow, quote(s.Name))
	}
	w := journal.Window{Name: s.Name, Spec: marshal(s), Actor: actor, At: time.Now()}
	if err := r.journal.SetWindow(w); err != nil {
		return out, err
	}
	level.Info(r.logger).Log("msg", "maintenance window made", "name", quote(s.Name), "actor", actor)
	r.wakeKeepers()
	return shown(&m, control.Window{Source: control.FromAPI, WindowSpec: s, Actor: actor, At: w.At}), nil
}

// DropWindow takes away a window that people made.
func (r *Remediator) DropWindow(name, actor string) error {
	if r.journal == nil {
		return r.broken
	}
	err := r.journal.DropWindow(name, actor, "taken away")
	if err == nil {
		level.Info(r.logger).Log("msg", "maintenance window taken away", "name", quote(name), "actor", actor)
	}
	return err
}

// dropWindows forgets windows that come once and have been over for long.
func (r *Remediator) dropWindows() (err error) {
	b := r.barriers()
	if b.unread != "" {
		return errors.New(b.unread)
	}
	for i, w := range b.made {
		to, wrong := w.To.Time()
		if w.problem != "" || w.To == "" || wrong != nil || time.Since(to) < overFor {
			continue
		}
		why := "it was over at " + to.Format(time.RFC3339)
		if one := r.journal.DropWindow(b.Windows[i].Name, "", why); !errors.Is(one, journal.ErrNoWindow) { // a person was quicker
			err = errors.Join(err, one)
		}
	}
	return err
}

// mostActive bounds the series of windows, however many pools they select.
const mostActive = 2000

var descMaintenance = prometheus.NewDesc("sluice_maintenance_active", "1 while the maintenance window is in force for members of the pool; pool is empty while it isn't known which the device has.", []string{"device", "pool", "name"}, nil)

// collectWindows tells which windows are in force, for each pool that they select as
// far as a look has shown it.
func (r *Remediator) collectWindows(ch chan<- prometheus.Metric, b barriers) {
	now := time.Now()
	r.mu.Lock()
	set := r.set
	r.mu.Unlock()
	var active []*Maintenance
	if set.cfg != nil {
		for i := range set.cfg.Maintenance {
			active = append(active, &set.cfg.Maintenance[i])
		}
	}
	for _, w := range b.made {
		active = append(active, &w.Maintenance)
	}
	active = slices.DeleteFunc(active, func(m *Maintenance) bool { _, is := m.At(now); return !is })
	if len(active) == 0 {
		return
	}
	series := map[[3]string]bool{}
	for device := range set.devices {
		members := r.flowOf(device).members()
		for _, m := range active {
			for _, one := range members {
				if m.Members.Match(one) {
					series[[3]string{device, one.Pool, m.Name}] = true
				}
			}
			if len(members) == 0 && m.Members.device != nil && m.Members.device.MatchString(device) {
				series[[3]string{device, "", m.Name}] = true
			}
		}
	}
	n := 0
	for labels := range series {
		if n++; n > mostActive {
			return
		}
		for i, l := range labels {
			labels[i] = strings.ToValidUTF8(l, "?")
		}
		ch <- prometheus.MustNewConstMetric(descMaintenance, prometheus.GaugeValue, 1, labels[:]...)
	}
}

// members are those of the last look.
func (f *flow) members() (out []edge.Member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) > 0 {
		for m := range f.seen[len(f.seen)-1].counts {
			out = append(out, m)
		}
	}
	return out
}
