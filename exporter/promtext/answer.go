package promtext

import (
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/common/expfmt"
)

// Answer serves the page in the format and the encoding that the request prefers.
// The error says that it wasn't read to its end.
func (p Page) Answer(w http.ResponseWriter, r *http.Request) error {
	format := expfmt.NegotiateIncludingOpenMetrics(r.Header)
	h := w.Header()
	h.Set("Content-Type", string(format))
	h.Add("Vary", "Accept")
	h.Add("Vary", "Accept-Encoding")
	zip := takesGzip(r.Header.Values("Accept-Encoding"))
	if zip {
		h.Set("Content-Encoding", "gzip")
	}
	out := io.Writer(w)
	if zip {
		z, _ := gzips.Get().(*gzip.Writer)
		z.Reset(w)
		defer gzips.Put(z)
		defer z.Close() // its error says that the reader went away: nobody is left to tell
		out = z
	}
	if !isText(format) {
		return p.Encode(out, format)
	}
	t, err := p.text(format)
	if err != nil {
		return err
	}
	if !zip { // its length saves the chunks' framing
		h.Set("Content-Length", strconv.Itoa(t.size()))
	}
	return writeAll(out, t)
}

// gzips are used again: each has a megabyte of tables.
var gzips = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the only error is a wrong level
	return z
}}

// takesGzip reads Accept-Encoding, where "gzip;q=0" is a refusal.
func takesGzip(headers []string) bool {
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !found || err != nil || weight > 0
	}
	return false
}
