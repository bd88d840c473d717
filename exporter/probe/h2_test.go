package probe_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/sluice-project/sluice/exporter/probe"
)

// Several targets at one address are asked at once, each on its own connection.
func TestProbesByHTTP2AtOnceDontDisturbEachOther(t *testing.T) {
	s := webTLS(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }, nil)
	p, err := probe.New(module(t, "{prober: http, timeout: 30s, http: {valid_http_versions: [HTTP/2], tls_config: {insecure_skip_verify: true}}}"))
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				if r := p.Probe(t.Context(), fmt.Sprintf("%s/%d", s.URL, i)); !r.Up {
					t.Errorf("%s: %s", r.Reason, r.Detail)
				}
			})
		}
		all.Wait()
	}
}
