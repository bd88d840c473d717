package login

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/sluice-project/sluice/remediator/access/oidc"
)

// metrics are what the log-in by a provider counts. Log-ins by password are the
// gate's.
type metrics struct {
	logins *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_access_oidc_logins_total",
		Help: "Log-ins by the OIDC provider that came to an end, by how they ended.",
	}, []string{"result"})}
	for _, r := range oidc.Results() {
		m.logins.WithLabelValues(r)
	}
	return m
}

func (m *metrics) oidc(result string) { m.logins.WithLabelValues(result).Inc() }
