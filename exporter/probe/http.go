package probe

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
)

const (
	defaultBodyLimit = 1 << 20
	maxRedirects     = 10
)

// An httpProber makes one request on a new connection and judges the answer.
type httpProber struct {
	module  Module
	host    string // the Host header that was configured; "" for the target's
	headers http.Header
	body    []byte

	// first is for the target's own host. Where the configuration names a Host
	// header, that is also the name that the certificate must carry, which is
	// wrong for another host that a redirect leads to: other is for those.
	first, other http.RoundTripper

	matches, notMatches []*regexp.Regexp
}

func newHTTP(m Module) (Prober, error) {
	h := m.HTTP
	p := &httpProber{module: m, headers: http.Header{}, body: []byte(h.Body)}
	if h.BodyFile != "" {
		body, err := os.ReadFile(h.BodyFile)
		if err != nil {
			return nil, fmt.Errorf("body_file: %w", err)
		}
		p.body = body
	}
	for name, value := range h.Headers {
		if textproto.CanonicalMIMEHeaderKey(name) == "Host" {
			p.host = value
			continue
		}
		p.headers.Set(name, value)
	}
	if p.headers.Get("User-Agent") == "" {
		p.headers.Set("User-Agent", userAgent())
	}
	if h.Compression != "" && p.headers.Get("Accept-Encoding") == "" {
		p.headers.Set("Accept-Encoding", h.Compression)
	}
	for _, s := range h.FailIfBodyMatches {
		p.matches = append(p.matches, regexp.MustCompile(s)) // Validate compiled it
	}
	for _, s := range h.FailIfBodyNotMatches {
		p.notMatches = append(p.notMatches, regexp.MustCompile(s))
	}
	var err error
	if p.other, err = p.transport(h.Client); err != nil {
		return nil, err
	}
	p.first = p.other
	if p.host != "" && h.Client.TLSConfig.ServerName == "" {
		own := h.Client
		own.TLSConfig.ServerName = p.host
		if host, _, err := net.SplitHostPort(p.host); err == nil {
			own.TLSConfig.ServerName = host
		}
		p.first, err = p.transport(own)
	}
	return p, err
}

func (p *httpProber) transport(c promconfig.HTTPClientConfig) (http.RoundTripper, error) {
	d := newDialer(p.module.HTTP.PreferredIP, p.module.HTTP.IPFallback)
	return promconfig.NewRoundTripperFromConfig(c, "probe",
		promconfig.WithKeepAlivesDisabled(), promconfig.WithDialContextFunc(d.dial))
}

func (p *httpProber) follows() bool {
	if p.module.HTTP.NoFollowRedirects != nil {
		return !*p.module.HTTP.NoFollowRedirects
	}
	return p.module.HTTP.Client.FollowRedirects
}

var errRedirects = errors.New("too many redirects")

// Probe makes one request. See [Prober].
func (p *httpProber) Probe(ctx context.Context, target string) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, p.module.timeout())
	defer cancel()
	c := new(course)
	r.Start = time.Now()
	defer func() {
		r.Stages, r.IP, r.Duration = c.done(), c.address(), time.Since(r.Start)
		r.Up = r.Reason == ""
	}()
	req, err := p.request(context.WithValue(ctx, courseKey{}, c), c, target)
	if err != nil {
		r.Reason, r.Detail = Connect, plain(err)
		return r
	}
	r.HTTP = &HTTPResult{ContentLength: -1}
	client := &http.Client{
		Transport: perHost{req.URL.Host, p.first, p.other},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if !p.follows() {
				return http.ErrUseLastResponse
			}
			if len(via) > maxRedirects {
				return errRedirects
			}
			r.HTTP.Redirects = len(via)
			return nil
		},
	}
	res, err := client.Do(req)
	if err != nil {
		stage := c.stage()
		switch stage {
		case "":
			stage = StageConnect
		case StageTransfer: // bytes came, and no whole head of an answer
			stage = StageProcessing
		}
		if r.Reason, r.Detail = reasonFor(ctx, stage, err); errors.Is(err, errRedirects) {
			r.Reason, r.Detail = Status, errRedirects.Error()
		} else if r.Reason != Timeout && isCertificate(err) {
			r.Reason = TLS
		}
		return r
	}
	defer res.Body.Close() // what matters was read
	r.HTTP.Status, r.HTTP.ContentLength = res.StatusCode, res.ContentLength
	r.HTTP.Version = float64(res.ProtoMajor) + float64(res.ProtoMinor)/10
	r.TLS = tlsResult(res.TLS)
	if t, err := http.ParseTime(res.Header.Get("Last-Modified")); err == nil {
		r.HTTP.LastModified = t
	}
	c.begin(StageTransfer)
	body, whole, err := p.read(res)
	r.HTTP.BodyLength = int64(len(body))
	r.Body = bytes.Clone(body[:min(len(body), bodyKept)])
	// The status is judged first: a wrong page that also breaks off is a wrong page.
	if r.Reason, r.Detail = p.judgeHead(res); r.Reason != "" {
		return r
	}
	if err != nil {
		r.Reason, r.Detail = reasonFor(ctx, StageTransfer, err)
		return r
	}
	if !whole && p.module.HTTP.BodyLimit > 0 {
		r.Reason, r.Detail = Body, fmt.Sprintf("body is longer than body_size_limit, %d bytes", int64(p.module.HTTP.BodyLimit))
		return r
	}
	if r.Reason, r.Detail = p.judgeBody(body); r.Reason != "" {
		r.HTTP.RegexFailed = true
	}
	return r
}

// request builds the first request, traced by c.
func (p *httpProber) request(ctx context.Context, c *course, target string) (*http.Request, error) {
	if err := checkURL(target); err != nil {
		return nil, err
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeStart:    func() { c.begin(StageTLS) },
		GotConn:              func(httptrace.GotConnInfo) { c.begin(StageProcessing) },
		GotFirstResponseByte: func() { c.begin(StageTransfer) },
	})
	method := p.module.HTTP.Method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if len(p.body) > 0 {
		body = bytes.NewReader(p.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	for name, values := range p.headers {
		req.Header[name] = slices.Clone(values)
	}
	if p.host != "" {
		req.Host = p.host
	}
	return req, nil
}

// perHost takes requests to the target's own host through first, others through other.
type perHost struct {
	host         string
	first, other http.RoundTripper
}

func (t perHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == t.host {
		return t.first.RoundTrip(r)
	}
	return t.other.RoundTrip(r)
}

// isCertificate finds the certificate errors that surface after the handshake's stage ended.
func isCertificate(err error) bool {
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	return errors.As(err, &verify) || errors.As(err, &alert)
}

// read reads the body up to the limit; whole is false when there is more of it.
func (p *httpProber) read(res *http.Response) (body []byte, whole bool, err error) {
	limit := int64(p.module.HTTP.BodyLimit)
	if limit == 0 {
		limit = defaultBodyLimit
	}
	var from io.Reader = res.Body
	if strings.EqualFold(res.Header.Get("Content-Encoding"), "gzip") && p.module.HTTP.Compression == "gzip" {
		z, err := gzip.NewReader(res.Body)
		if err != nil {
			return nil, false, fmt.Errorf("gzip: %w", err)
		}
		from = z
	}
	body, err = io.ReadAll(io.LimitReader(from, limit+1))
	if int64(len(body)) > limit {
		return body[:limit], false, nil
	}
	return body, true, err
}

func (p *httpProber) judgeHead(res *http.Response) (Reason, string) {
	h := p.module.HTTP
	switch {
	case len(h.ValidStatusCodes) > 0 && !slices.Contains(h.ValidStatusCodes, res.StatusCode):
		return Status, fmt.Sprintf("status %d, want one of %v", res.StatusCode, h.ValidStatusCodes)
	case len(h.ValidStatusCodes) == 0 && (res.StatusCode < 200 || res.StatusCode > 299):
		return Status, fmt.Sprintf("status %d, want 200 to 299", res.StatusCode)
	case len(h.ValidHTTPVersions) > 0 && !slices.Contains(h.ValidHTTPVersions, res.Proto):
		return Status, fmt.Sprintf("version %s, want one of %v", oneLine(res.Proto), h.ValidHTTPVersions)
	case h.FailIfSSL && res.TLS != nil:
		return TLS, "TLS, where none is wanted"
	case h.FailIfNotSSL && res.TLS == nil:
		return TLS, "no TLS, where it is wanted"
	}
	for _, m := range h.FailIfHeaderMatches {
		if found, there := headerMatch(res.Header, m); found || !there && !m.AllowMissing {
			return Status, fmt.Sprintf("header %s is missing or matches %q", m.Header, m.Regexp)
		}
	}
	for _, m := range h.FailIfHeaderNot {
		if found, there := headerMatch(res.Header, m); !found && (there || !m.AllowMissing) {
			return Status, fmt.Sprintf("header %s is missing or doesn't match %q", m.Header, m.Regexp)
		}
	}
	return "", ""
}

func headerMatch(h http.Header, m HeaderMatch) (found, there bool) {
	values := h.Values(m.Header)
	re := regexp.MustCompile(m.Regexp) // Validate compiled it
	return slices.ContainsFunc(values, re.MatchString), len(values) > 0
}

func (p *httpProber) judgeBody(body []byte) (Reason, string) {
	for _, re := range p.matches {
		if re.Match(body) {
			return Body, fmt.Sprintf("body matches %q", re)
		}
	}
	for _, re := range p.notMatches {
		if !re.Match(body) {
			return Body, fmt.Sprintf("body doesn't match %q", re)
		}
	}
	return "", ""
}
