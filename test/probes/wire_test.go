package probes

import (
	"net/http"
	"strings"
	"testing"
)

// Requests that proxies and servers understand in different ways, and such as are
// none. The order in them is one that would be carried out, by itself; here what
// comes behind a doubtful length is never taken for a request.
func TestWhatIsNoRequestIsNone(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	const order = "POST /api/v1/members/edge1/shop/web01/drain HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
	const start = "POST /api/v1/explain HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
	for name, text := range map[string]string{
		"two lengths":                      start + "Content-Length: 2\r\nContent-Length: 4\r\n\r\n{}" + order,
		"a list of lengths":                start + "Content-Length: 2, 4\r\n\r\n{}" + order,
		"a negative length":                start + "Content-Length: -1\r\n\r\n" + order,
		"a length with a sign":             start + "Content-Length: +2\r\n\r\n{}" + order,
		"a length in hex":                  start + "Content-Length: 0x2\r\n\r\n{}" + order,
		"a length that is too long":        start + "Content-Length: 99999999999999999999\r\n\r\n" + order,
		"an unknown coding":                start + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + order,
		"a coding twice":                   start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + order,
		"a coding in a list":               start + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + order,
		"a blank before the colon":         start + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + order,
		"a tab in the coding":              start + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + order,
		"a chunk that is too long":         start + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n" + order,
		"a chunk's length with a sign":     start + "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + order,
		"a chunk without a length":         start + "Transfer-Encoding: chunked\r\n\r\n\r\n" + order,
		"a header in several lines":        "GET /-/healthy HTTP/1.1\r\nHost: a\r\nX: a\r\n " + strings.ReplaceAll(order, "\r\n", " ") + "\r\nConnection: close\r\n\r\n",
		"a header without a name":          "GET /-/healthy HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
		"a NUL in a header":                "GET /-/healthy HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
		"a bare CR in a header":            "GET /-/healthy HTTP/1.1\r\nHost: a\r\nX: a\rPOST / HTTP/1.1\r\n\r\n",
		"no host":                          "GET /-/healthy HTTP/1.1\r\n\r\n",
		"two hosts":                        "GET /-/healthy HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"a host that is none":              "GET /-/healthy HTTP/1.1\r\nHost: a b<script>\r\n\r\n",
		"no version":                       "GET /-/healthy\r\n\r\n",
		"another version":                  "GET /-/healthy HTTP/9.9\r\nHost: a\r\n\r\n",
		"a blank too many":                 "GET  /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n",
		"no method":                        " /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n",
		"a method with a line break in it": "GE\nT /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n",
		"TLS":                              "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"another protocol":                 "SSH-2.0-x\r\n\r\n",
		"HTTP/2 without asking":            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"a path with a blank":              "GET /-/healthy x HTTP/1.1\r\nHost: a\r\n\r\n",
		"a path with a control character":  "GET /-/\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
		"too many headers":                 "GET /-/healthy HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 1200) + "\r\n",
		"a header that is too long":        "GET /-/healthy HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 2<<20) + "\r\n\r\n",
		"a path that is too long":          "GET /" + strings.Repeat("a", 2<<20) + " HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		answers, err := s.raw(t, text)
		if err != nil && len(text) < 1<<20 { // who still sends may miss what is said
			t.Errorf("%s: %v", name, err)
		}
		for i, a := range answers {
			if a.code != http.StatusNotImplemented && a.code != http.StatusHTTPVersionNotSupported && (a.code >= http.StatusInternalServerError || i > 0) {
				t.Errorf("%s: answer %d: %d %.300s", name, i+1, a.code, a.body)
			}
		}
	}
	s.untouched(t)
}

func TestHeadersDontMoveARequest(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	for _, header := range [][]string{
		{"X-Original-URL", "/config"},
		{"X-Rewrite-URL", "/config"},
		{"X-Forwarded-Prefix", "/config"},
		{"X-HTTP-Method-Override", "POST"},
		{"X-Method-Override", "DELETE"},
		{"Upgrade", "h2c"},
		{"Forwarded", "for=127.0.0.1;host=evil.example"},
		{"X-Forwarded-Host", "evil.example"},
		{"Content-Encoding", "gzip"},
		{"Expect", "100-continue"},
		{"Range", "bytes=0-1"},
		{"If-None-Match", "*"},
	} {
		p := probe{method: http.MethodGet, path: "/api/v1/freeze", header: header}
		a := s.send(t, p)
		check(t, p, a, http.StatusOK)
		if !strings.Contains(string(a.body), `"frozen":false`) || strings.Contains(a.header.Get("Location"), "evil") {
			t.Errorf("%s: %s", p, a.body)
		}
	}
	s.untouched(t)
}
