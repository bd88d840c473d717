package collect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge/fleet"
)

// Listeners of one name are one to Prometheus; a second sample of a series would
// be an error in its log at each scrape.
func TestListenersOfOneNameAreOneSeries(t *testing.T) {
	d, _ := startHAProxy(t, fmt.Sprintf(`
frontend shop
  option socket-stats
  bind %s name door
  bind %s name door
  bind %s
listen api
  option socket-stats
  bind %s name door
`, address(t), address(t), address(t), address(t)))
	text := scrapeOf(t, d, "")
	wantSound(t, text)
	for _, series := range []string{`proxy="shop",listener="door"`, `proxy="shop",listener="sock-3"`, `proxy="api",listener="door"`} {
		if n := strings.Count(text, "\nhaproxy_listener_current_sessions{device=\"edge1\","+series+"} "); n != 1 {
			t.Errorf("%d series of %s in\n%s", n, series, text)
		}
	}
	r := record(t, "shop")
	if text := cutTo(t, r.path, fleet.HAProxyMetrics{}, "scope=listener"); !strings.Contains(text, `listener="sock-1"`) {
		t.Error(text)
	}
}
