package collect

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/exporter/promtext"
)

// Names of modules' counters in HAProxy 3.2, and the module that it says for them.
func TestModulesOfCounters(t *testing.T) {
	for column, want := range map[string]struct {
		module string
		kind   promtext.Kind
	}{
		"ssl_failed_handshake":       {"ssl", promtext.Counter},
		"h1_open_streams":            {"h1", promtext.Gauge},
		"h1_total_connections":       {"h1", promtext.Counter},
		"h2_backend_open_streams":    {"h2", promtext.Gauge},
		"h3_push_promise":            {"h3", promtext.Counter},
		"pack_decompression_failed":  {"h3", promtext.Counter},
		"qpack_encoder_stream_error": {"h3", promtext.Counter},
		"quic_half_open_conn":        {"quic", promtext.Gauge},
		"quic_lost_pkt":              {"quic", promtext.Counter},
	} {
		if got := moduleOf(column); got != want.module {
			t.Errorf("%s is of module %q, want %q", column, got, want.module)
		}
		if got := moduleKind(column); got != want.kind {
			t.Errorf("%s is a %s, want %s", column, got, want.kind)
		}
	}
}

// On request, every counter of every module is there, with what "show stat" has;
// without, none is.
func TestModulesCountersComeOnRequest(t *testing.T) {
	b := startBusy(t)
	b.still(t)
	c, err := New(b.device(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if text := written(t, []Outcome{c.Scrape(t.Context(), Cut{})}); strings.Contains(text, `,mod="`) {
		t.Error("counters of modules came uncalled")
	}
	text := written(t, []Outcome{c.Scrape(t.Context(), Cut{Extra: true})})
	wantSound(t, text)
	got := map[string]string{}
	for line := range strings.Lines(text) {
		if series, v, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.Contains(series, `,mod="`) && !strings.Contains(series, `"pace"`) {
			got[series] = v
		}
	}
	rows, err := csv.NewReader(strings.NewReader(command(t, b.socket, "show stat"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, row := range rows[1:] {
		modules := false
		proxy, name, kind := row[0], row[1], row[32] // columns 0, 1 and 32 in all versions
		object := map[string]string{"0": "frontend", "1": "backend", "2": "server", "3": "listener"}[kind]
		labels := `device="edge1",proxy="` + proxy + `"`
		if object == "server" || object == "listener" {
			labels += "," + object + `="` + name + `"`
		}
		for i, column := range rows[0] {
			if modules && row[i] != "" && proxy != "pace" {
				want["haproxy_"+object+"_"+column+"{"+labels+`,mod="`+moduleOf(column)+`"`] = row[i]
			}
			modules = modules || column == "-"
		}
	}
	if len(want) < 20 {
		t.Fatalf("this HAProxy has %d counters of modules only", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("show stat (-) and metrics (+):\n%s", diff)
	}
	if v := got[`haproxy_frontend_h1_total_connections{device="edge1",proxy="web",mod="h1"`]; v != "7" {
		t.Errorf("frontend web had %s connections of HTTP/1, want 7", v)
	}
}
