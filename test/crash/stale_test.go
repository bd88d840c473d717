package crash

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

// evidenceLasts is longer than any evidence may be old, with the scene's probe:
// twice its interval and ten seconds.
const evidenceLasts = 12 * time.Second

// The process is stopped between its decision and the order for longer than
// evidence may be old, and the member has got well meanwhile: what was decided
// then is not done now (SAFETY.md I17).
func TestNothingStaleIsSentAfterALongStop(t *testing.T) {
	for _, at := range []string{"take_out.decided", "take_out.recorded"} {
		t.Run(at, func(t *testing.T) {
			s := begin(t)
			s.run(at + ":stop")
			s.sicken()
			s.stops()
			s.set(rig.Serve)
			s.must(rig.Holds(t.Context(), evidenceLasts, func(context.Context) error {
				if !s.Remediator.Stopped() {
					return fmt.Errorf("it runs")
				}
				return nil
			}))
			s.must(s.Remediator.Continue())
			s.tell(false)
			s.keeps(rig.AdminReady)
			s.phase("")
			if orders := s.Wire.Orders(); len(orders) > 0 {
				t.Errorf("decided on evidence %v old, and sent: %q", evidenceLasts, orders)
			}
		})
	}
}
