package remediator

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// The age of evidence is there for members that are claimed or held, and for no
// others: a rule tells by it what Sluice looks after from what somebody forgot.
func TestTheAgeOfEvidenceEndsWithTheHold(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		members := func() (of []string) {
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() != "sluice_remediation_evidence_age_seconds" {
					continue
				}
				for _, m := range f.GetMetric() {
					for _, l := range m.GetLabel() {
						if l.GetName() == "member" {
							of = append(of, l.GetValue())
						}
					}
				}
			}
			return of
		}
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
		if d := cmp.Diff([]string{s1.Name}, members()); d != "" {
			t.Errorf("while it is held:\n%s", d)
		}
		w.recover(s1)
		w.wait(10 * time.Minute)
		w.want(s1, "")
		if d := cmp.Diff([]string(nil), members()); d != "" {
			t.Errorf("after it is given back:\n%s", d)
		}
	})
}
