package promtext

import (
	"compress/gzip"
	"errors"
	"net/http"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Answer serves the page in the format and the encoding that the request prefers.
// The error says that it wasn't read to its end, or that it can't be written; then
// the answer is an error, too.
func (p Page) Answer(w http.ResponseWriter, r *http.Request) error {
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	zip := takesGzip(r.Header.Values("Accept-Encoding"))
	var t *text
	var objects []*dto.MetricFamily
	var err error
	if isText(format) {
		t, err = p.text(format)
	} else {
		objects, err = p.Families()
	}
	if err != nil {
		// An empty answer would say that there is nothing to tell.
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return err
	}
	h := w.Header()
	h.Set("Content-Type", string(format))
	h.Add("Vary", "Accept")
	h.Add("Vary", "Accept-Encoding")
	if zip {
		h.Set("Content-Encoding", "gzip")
	}
	switch {
	case t == nil && !zip:
		return encode(w, format, objects)
	case t == nil:
		z := gzip.NewWriter(w)
		return errors.Join(encode(z, format, objects), z.Close())
	case !zip:
		h.Set("Content-Length", strconv.Itoa(t.size())) // it saves the chunks' framing
		return writeAll(t, writeTo(w))
	}
	z := newSqueezer(w)
	defer z.free()
	return errors.Join(writeAll(t, func(p piece) error { return z.piece(p.text, p.marks) }), z.close())
}

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
