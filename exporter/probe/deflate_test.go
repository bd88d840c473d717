package probe_test

import (
	"compress/flate"
	"compress/zlib"
	"io"
	"net/http"
	"testing"

	"github.com/sluice-project/sluice/exporter/probe"
)

// deflated answers with the format of zlib, and under /raw with what some take for it.
func deflated(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept-Encoding") != "deflate" {
		http.Error(w, "not asked for", http.StatusNotAcceptable)
		return
	}
	w.Header().Set("Content-Encoding", "deflate")
	var z io.WriteCloser
	switch r.URL.Path {
	case "/raw":
		z, _ = flate.NewWriter(w, flate.BestSpeed) // the only error is a wrong level
	case "/noise":
		_, _ = io.WriteString(w, "\xff\xff\xff no deflate")
		return
	default:
		z = zlib.NewWriter(w)
	}
	_, _ = io.WriteString(z, "all is well")
	_ = z.Close()
}

func TestDeflateIsUndoneInBothForms(t *testing.T) {
	s := web(t, deflated)
	for path, want := range map[string]probe.Reason{"/": "", "/raw": "", "/noise": probe.Body} {
		r := ask(t, "{prober: http, http: {compression: deflate, fail_if_body_not_matches_regexp: ['^all is well$']}}", s.URL+path)
		if wantReason(t, r, want); want == "" && string(r.Body) != "all is well" {
			t.Errorf("%s: %q", path, r.Body)
		}
	}
}

// Files for blackbox_exporter have HTTP/2 where an answer says HTTP/2.0.
func TestTheShortNameOfAVersion(t *testing.T) {
	s := webTLS(t, func(http.ResponseWriter, *http.Request) {}, nil)
	ca := authority(t, s)
	wantReason(t, ask(t, "{prober: http, http: {valid_http_versions: [HTTP/2], tls_config: {ca_file: "+ca+"}}}", s.URL), "")
	wantReason(t, ask(t, "{prober: http, http: {valid_http_versions: [HTTP/2], enable_http2: false, tls_config: {ca_file: "+ca+"}}}", s.URL), probe.Status)
}
