package remediator

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/announce"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/remediator/webhook"
)

const namespace = "sluice_remediation_"

// metrics are what is counted as it happens; what can be looked up when asked
// comes from [Remediator.Collect].
type metrics struct {
	steps           *prometheus.CounterVec
	lastStep        *prometheus.GaugeVec
	reaction        *prometheus.HistogramVec
	stepDuration    *prometheus.HistogramVec
	effects         *prometheus.CounterVec
	auditErrors     prometheus.Counter
	journalErrors   prometheus.Counter
	refusals        *prometheus.CounterVec
	expired         *prometheus.CounterVec
	evidence        *prometheus.CounterVec
	unselected      prometheus.Counter
	webhookRequests *prometheus.CounterVec
	webhookAlerts   *prometheus.CounterVec
	announce        *announce.Metrics
}

// Buckets of the two parts of the way from an alert to a step that is confirmed. A
// claim may wait for a guard, or for a person, longer than any bucket.
var (
	reactions = []float64{0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600}
	commands  = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}
)

func newMetrics(reg prometheus.Registerer, r *Remediator) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: namespace + name, Help: help}, labels)
	}
	m := &metrics{
		steps: counter("steps_total", "Steps by outcome, and by whose word: sluice, or a person's.", "device", "pool", "to", "result", "by"),
		lastStep: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: namespace + "last_step_timestamp_seconds", Help: "When the last step of its kind came to its outcome, in Unix time.",
		}, []string{"device", "pool", "to", "result", "by"}),
		reaction: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: namespace + "reaction_seconds", Help: "From the start of the alert to the command of the step that it asked for.", Buckets: reactions,
		}, []string{"policy"}),
		stepDuration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: namespace + "step_duration_seconds", Help: "From the command of a step to the read-back that found the member as ordered.", Buckets: commands,
		}, []string{"policy", "to"}),
		effects:         counter("effects_total", "Steps that took a member out, by what traffic and the pool's errors showed afterwards.", "device", "pool", "result"),
		journalErrors:   f.NewCounter(prometheus.CounterOpts{Name: namespace + "journal_errors_total", Help: "Writes to the journal that failed; without a record nothing is done."}),
		auditErrors:     f.NewCounter(prometheus.CounterOpts{Name: namespace + "audit_errors_total", Help: "Times that the audit stream could not be written."}),
		refusals:        counter("refusals_total", "Steps that a guard refused, each time that it did.", "guard", "reason"),
		expired:         counter("expired_total", "Holds whose lease or max_hold ended without evidence to give back.", "device", "pool"),
		evidence:        counter("evidence_total", "Answers of the second source: yes is well, no is bad.", "source", "answer"),
		webhookRequests: counter("webhook_requests_total", "Webhooks by the code that they were answered with.", "code"),
		webhookAlerts:   counter("webhook_alerts_total", "Alerts inside good webhooks, by what became of them.", "result"),
		announce:        announce.NewMetrics(reg),
		unselected: f.NewCounter(prometheus.CounterOpts{
			Name: namespace + "unselected_claims_total", Help: "Claims that no policy selects, each time that they were read.",
		}),
	}
	for _, reason := range unfitReasons {
		m.refusals.WithLabelValues("inventory", reason)
	}
	for _, r := range guard.Reasons() {
		m.refusals.WithLabelValues(r.Guard, r.Reason)
	}
	for _, result := range []webhook.Result{webhook.Wanted, webhook.Ignored, webhook.Invalid} {
		m.webhookAlerts.WithLabelValues(string(result))
	}
	reg.MustRegister(r)
	return m
}

// step counts one; by says whose it was.
func (m *metrics) step(by string, of edge.Member, to, result string) {
	m.steps.WithLabelValues(of.Device, of.Pool, to, result, by).Inc()
	m.lastStep.WithLabelValues(of.Device, of.Pool, to, result, by).SetToCurrentTime()
}

// journalFailed counts a write that the journal could not make. That another
// wrote first, or leads by now, is no failure of it.
func (m *metrics) journalFailed(err error) {
	if !errors.Is(err, journal.ErrConflict) && !errors.Is(err, journal.ErrFenced) {
		m.journalErrors.Inc()
	}
}

// webhook counts one request.
func (m *metrics) webhook(_ *http.Request, code int, msg webhook.Message, _ error) {
	m.webhookRequests.WithLabelValues(strconv.Itoa(code)).Inc()
	if code != http.StatusOK {
		return
	}
	for _, a := range msg.Alerts {
		m.webhookAlerts.WithLabelValues(string(a.Result)).Inc()
	}
}

var (
	descHolds       = desc("holds", "Members that Sluice holds out now.", "device", "pool")
	descFrozen      = desc("frozen", "1 while a freeze is in force, or the journal can't be used.")
	descFrozenScope = desc("frozen_scope", "1 while a device, or one of its pools, is frozen by itself; pool is empty where all of the device is.", "device", "pool")
	descClaimed     = desc("claimed", "Members that people have claimed, and on which automation takes no step.", "device", "pool")
	descMode        = desc("mode", "1 for the mode that is the ceiling of all policies.", "mode")
	descWatchdog    = desc("watchdog_age_seconds", "Time since the Watchdog alert was last seen; since the start while it never was.")
	descClaims      = desc("claims", "Claims that are seen now.")
	descBlind       = desc("claim_source_blind", "1 while what this source doesn't show doesn't count.", "source")
	descReadOnly    = desc("device_read_only", "1 while no step can be taken on this device: a right is missing, or no node is the active one.", "device")
	descFrozenAge   = desc("frozen_seconds", "How long the freeze in force has lasted; 0 without one.")
	descBrake       = desc("brake", "1 while the storm brake keeps everything new from being started.")
	descCandidates  = desc("candidates", "Members that are claimed and not taken out, by what they wait for: deferred, awaiting_approval, quarantined.", "device", "pool", "phase")
	descIneffective = desc("ineffective", "Steps in a row on this pool that changed nothing for the better; at 2 nothing more is tried.", "device", "pool")
	descLeader      = desc("leader", "1 while this replica is the one that writes.")
	descLease       = desc("lease_seconds", "What is left of this replica's lease; absent where leadership isn't a lease.")
	descAge         = desc("evidence_age_seconds", "Age of the last evidence on a member that is claimed or held.", "device", "pool", "member")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+name, help, labels, nil)
}

// Describe is prometheus.Collector's.
func (r *Remediator) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descHolds, descMaintenance, descFrozen, descFrozenScope, descClaimed, descMode, descWatchdog, descClaims, descBlind, descReadOnly, descFrozenAge, descBrake, descCandidates, descIneffective, descLeader, descLease, descAge} {
		ch <- d
	}
	for _, d := range descsOfRoom {
		ch <- d
	}
}

// Collect is prometheus.Collector's.
func (r *Remediator) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	st := r.Status()
	held, concerned := map[edge.Pool]int{}, map[edge.Member]bool{}
	for _, h := range st.Holds {
		held[h.Member.In()]++
		concerned[h.Member] = true
	}
	for p, n := range held {
		gauge(descHolds, float64(n), p.Device, p.Name)
	}
	gauge(descFrozen, truth(st.Frozen != ""))
	b := r.barriers()
	for _, f := range b.Freezes {
		if f.Device != "" {
			gauge(descFrozenScope, 1, f.Device, f.Pool)
		}
	}
	claimed := map[edge.Pool]int{}
	for _, c := range b.Claimed {
		claimed[c.Member.In()]++
	}
	for p, n := range claimed {
		gauge(descClaimed, float64(n), p.Device, p.Name)
	}
	r.collectWindows(ch, b)
	r.collectRoom(ch, st.Holds)
	gauge(descFrozenAge, st.FrozenFor.Seconds())
	gauge(descBrake, truth(st.Brake != ""))
	waiting := map[[3]string]int{}
	for _, c := range st.Candidates {
		waiting[[3]string{c.Member.Device, c.Member.Pool, string(c.Phase)}]++
		concerned[c.Member] = true
	}
	for k, n := range waiting {
		gauge(descCandidates, float64(n), k[0], k[1], k[2])
	}
	for p, n := range r.ledger.ineffective() {
		gauge(descIneffective, float64(n), p.Device, p.Name)
	}
	standing := r.standing()
	gauge(descLeader, truth(standing.Standby == ""))
	if standing.Leased {
		gauge(descLease, standing.Left.Seconds())
	}
	for _, mode := range modes {
		gauge(descMode, truth(mode == st.Mode), mode)
	}
	gauge(descClaims, float64(st.Claims))
	for _, s := range st.Sources {
		gauge(descBlind, truth(s.Blind != ""), s.Name)
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.watchdog
	if last.IsZero() {
		last = r.started
	}
	gauge(descWatchdog, max(now.Sub(last), 0).Seconds())
	for device, why := range r.readOnly {
		gauge(descReadOnly, truth(why != ""), device)
	}
	for m, at := range r.heard {
		// The rest of a pool was asked, too: that is no concern of anybody any more.
		if !concerned[m] {
			continue
		}
		gauge(descAge, max(now.Sub(at), 0).Seconds(), m.Device, m.Pool, m.Name)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
