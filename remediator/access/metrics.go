package access

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	gate    *Gate
	logins  *prometheus.CounterVec
	refused *prometheus.CounterVec
	age     *prometheus.Desc
	expiry  *prometheus.Desc
}

var results = []string{"ok", "wrong", "expired", "locked", "busy"}

func newMetrics(reg prometheus.Registerer, g *Gate) *metrics {
	m := &metrics{
		gate: g,
		logins: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_access_logins_total",
			Help: "Passwords and tokens that were looked at, by result: ok, wrong, expired, locked (too many failed before) or busy.",
		}, []string{"result"}),
		refused: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_access_refused_total",
			Help: "Requests of somebody we know who may not do it.",
		}, []string{"verb"}),
		age: prometheus.NewDesc("sluice_access_token_age_seconds",
			"Age of a user's oldest token file whose token is good, since it was written.", []string{"user"}, nil),
		expiry: prometheus.NewDesc("sluice_access_token_expiry_timestamp_seconds",
			"When a token expires. Those that never do have no series.", []string{"user", "token"}, nil),
	}
	for _, r := range results {
		m.logins.WithLabelValues(r)
	}
	for _, v := range verbs {
		m.refused.WithLabelValues(string(v))
	}
	if reg != nil {
		reg.MustRegister(m)
	}
	return m
}

func (m *metrics) refuse(v Verb) { m.refused.WithLabelValues(string(v)).Inc() }

// login counts how one ended, and returns why.
func (m *metrics) login(err error) error {
	result := "busy"
	switch locked := (*LockedError)(nil); {
	case err == nil:
		result = "ok"
	case errors.Is(err, ErrWrong):
		result = "wrong"
	case errors.Is(err, ErrExpired):
		result = "expired"
	case errors.As(err, &locked):
		result = "locked"
	}
	m.logins.WithLabelValues(result).Inc()
	return err
}

// Describe is [prometheus.Collector]'s.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.age
	ch <- m.expiry
}

// Collect is [prometheus.Collector]'s.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	s := m.gate.state.Load()
	if s == nil {
		return
	}
	now := time.Now()
	for owner, made := range s.oldest(now) {
		ch <- prometheus.MustNewConstMetric(m.age, prometheus.GaugeValue, now.Sub(made).Seconds(), owner)
	}
	for _, t := range s.tokens {
		if !t.expires.IsZero() {
			ch <- prometheus.MustNewConstMetric(m.expiry, prometheus.GaugeValue, float64(t.expires.Unix()), t.owner, t.name)
		}
	}
}
