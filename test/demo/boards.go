package main

import (
	"context"
	"errors"

	"github.com/sluice-project/sluice/test/rig"
)

// boards has Grafana show the boards, where there is one, and says where they are.
// That they can't be shown is no reason not to show the rest.
func boards(ctx context.Context, s *screen, r *rig.Rig, o rig.Options) [][2]string {
	err := r.StartGrafana(ctx, o)
	switch {
	case errors.Is(err, rig.ErrNoGrafana):
		return [][2]string{{"boards: no Grafana in PATH; files", "dashboards/, and docs/dashboards.md says how to install them"}}
	case err != nil:
		if ctx.Err() == nil {
			s.say("Grafana doesn't show the boards, the demo goes on without: %v", err)
		}
		return [][2]string{{"boards: Grafana didn't start; files", "dashboards/, and docs/dashboards.md says how to install them"}}
	}
	return [][2]string{
		{"boards, in Grafana: overview", r.Grafana.URL + "/d/sluice-overview"},
		{"HAProxy pool", r.Grafana.URL + "/d/sluice-pool"},
		{"PTAF", r.Grafana.URL + "/d/sluice-ptaf"},
		{"probes and objectives", r.Grafana.URL + "/d/sluice-probes"},
		{"remediation audit", r.Grafana.URL + "/d/sluice-audit"},
	}
}
