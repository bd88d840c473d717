package promtext

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func TestTakesGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "deflate, GZIP": true, "gzip;q=0": false, "gzip; q=0.0": false,
		"gzip;q=0.5, br": true, "br, identity": false, "xgzip": false, "gzip;q=x": true,
	} {
		if got := takesGzip([]string{header}); got != want {
			t.Errorf("takesGzip(%q) = %v, want %v", header, got, want)
		}
	}
	if !takesGzip([]string{"br", "gzip"}) {
		t.Error("a second header isn't read")
	}
}

// The length that is announced is that of the text, or else the reader would wait for more.
func TestTheAnnouncedLengthIsTrue(t *testing.T) {
	s := NewSheet()
	rows := NewRows(0)
	f, g := s.Family("a_total", Counter, "A.").Numbers(rows, ""), s.Family("b", Gauge, "B.").States(rows, []string{"UP", "DOWN"})
	for i := range 1000 {
		rows.Add([]byte(Labels("server", strconv.Itoa(i*i))))
		f.Number([]byte(strconv.Itoa(i)))
		g.State(i%4 - 2)
	}
	for _, accept := range []string{"", "application/openmetrics-text; version=1.0.0"} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		if err := (Page{Sheets: []*Sheet{s}}).Answer(w, r); err != nil {
			t.Fatal(err)
		}
		if got, want := w.Header().Get("Content-Length"), strconv.Itoa(w.Body.Len()); got != want {
			t.Errorf("%s: Content-Length %s, want %s", w.Header().Get("Content-Type"), got, want)
		}
		if got := strings.Join(w.Header().Values("Vary"), ","); got != "Accept,Accept-Encoding" {
			t.Errorf("Vary: %s: a cache would give the answer to others", got)
		}
	}
}
