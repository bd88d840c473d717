package announce

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/sluice-project/sluice/remediator/alertmanager"
)

// Metrics are counted over all announcers of a process.
type Metrics struct {
	total *prometheus.CounterVec
	fires *prometheus.GaugeVec
	left  prometheus.Gauge
}

// What became of an announcement.
const (
	resultTaken    = "taken"
	resultRefused  = "refused"   // answered with 4xx
	resultNoAnswer = "no_answer" // none in time, no connection, or 5xx
)

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		total: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_remediation_announcements_total", Help: "Alerts of our own that were posted, repeats and ends included, by what the Alertmanager answered.",
		}, []string{"alertmanager", "result"}),
		fires: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_remediation_announced", Help: "Alerts of our own that fire now; none where this replica doesn't lead.",
		}, []string{"alert"}),
		left: f.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_remediation_announced_left_out", Help: "Alerts of our own that would fire and are not announced, as there are too many at once.",
		}),
	}
	m.show(nil, 0)
	return m
}

// know begins to count for an Alertmanager.
func (m *Metrics) know(name string) {
	for _, result := range []string{resultTaken, resultRefused, resultNoAnswer} {
		m.total.WithLabelValues(name, result)
	}
}

func (m *Metrics) posted(name string, n int, err error) {
	result := resultTaken
	var code alertmanager.StatusError
	switch {
	case errors.As(err, &code) && code < 500:
		result = resultRefused
	case err != nil:
		result = resultNoAnswer
	}
	m.total.WithLabelValues(name, result).Add(float64(n))
}

// show says what fires now.
func (m *Metrics) show(alerts []Alert, left int) {
	n := map[string]int{}
	for _, a := range alerts {
		n[a.Labels[labelName]]++
	}
	for _, name := range Names {
		m.fires.WithLabelValues(name).Set(float64(n[name]))
	}
	m.left.Set(float64(left))
}
