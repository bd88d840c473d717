package probe

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	defaultBodyLimit = 1 << 20 // bytes
	maxRedirects     = 10
)

// An httpProber makes one request, on a new connection where it is told nothing
// else, and judges the answer.
type httpProber struct {
	module  Module
	host    string // the Host header that was configured; "" for the target's
	headers http.Header
	body    []byte

	// first is for the target's own host. It shows the credentials, and where the
	// configuration names a Host header, the certificate must carry that name. Both
	// would be wrong for another host that a redirect leads to: other is for those.
	first, other http.RoundTripper
	bare         bool  // no credentials are put before them
	kept         *kept // nil: a new connection for each request

	matches, notMatches             []*regexp.Regexp
	headerMatches, headerNotMatches []headerRule
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
	// Validate compiled all of them.
	for _, s := range h.FailIfBodyMatches {
		p.matches = append(p.matches, regexp.MustCompile(s))
	}
	for _, s := range h.FailIfBodyNotMatches {
		p.notMatches = append(p.notMatches, regexp.MustCompile(s))
	}
	p.headerMatches, p.headerNotMatches = headerRules(h.FailIfHeaderMatches), headerRules(h.FailIfHeaderNot)

	own := h.Client
	if err := own.Validate(); err != nil { // it also turns bearer_token into authorization
		return nil, err
	}
	d := newDialer(h.PreferredIP, h.IPFallback)
	d.brief = m.timeout()
	if h.KeepConnections {
		p.kept = new(kept)
	}
	var err error
	if p.other, err = newTransport(withoutCredentials(own), d, p.kept); err != nil {
		return nil, err
	}
	if p.host != "" && own.TLSConfig.ServerName == "" {
		own.TLSConfig.ServerName = p.host
		if host, _, err := net.SplitHostPort(p.host); err == nil {
			own.TLSConfig.ServerName = host
		}
	}
	p.first, err = newTransport(own, d, p.kept)
	_, p.bare = p.first.(*transport)
	return p, err
}

// Close closes the connections that are kept. Probes may still be made; they keep none.
func (p *httpProber) Close() error {
	p.kept.Close()
	return nil
}

func (p *httpProber) follows() bool {
	if p.module.HTTP.NoFollowRedirects != nil {
		return !*p.module.HTTP.NoFollowRedirects
	}
	return p.module.HTTP.Client.FollowRedirects
}

// Probe makes one request. See [Prober].
func (p *httpProber) Probe(ctx context.Context, target string) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, p.module.timeout())
	defer cancel() // also ends every connection of this probe
	c := newCourse(ctx)
	r.Start = time.Now()
	defer func() {
		r.Stages, r.IP, r.Duration = c.done(), c.address(), time.Since(r.Start)
		r.Up = r.Reason == ""
		v := veilFor(target, c.credentials()...)
		r.Detail, r.Body = v.text(r.Detail), v.bytes(r.Body)
	}()
	req, err := p.request(context.WithValue(ctx, courseKey{}, c), target)
	if err != nil {
		r.Reason, r.Detail = Unmade, plain(err)
		return r
	}
	r.HTTP = &HTTPResult{ContentLength: -1}
	h := &hops{course: c, host: req.URL.Hostname(), first: p.first, other: p.other, bare: p.bare, follows: p.follows()}
	res, err := h.do(req, func(n int) { r.HTTP.Redirects = n })
	if err != nil {
		r.Reason, r.Detail = p.noAnswer(ctx, c.stage(), err)
		return r
	}
	defer func() { _ = res.Body.Close() }() // what matters was read
	r.HTTP.Status, r.HTTP.ContentLength = res.StatusCode, res.ContentLength
	r.HTTP.Version = float64(res.ProtoMajor) + float64(res.ProtoMinor)/10
	r.TLS = tlsResult(res.TLS)
	if s := res.Header.Get("Last-Modified"); s != "" {
		if t, err := http.ParseTime(s); err == nil {
			r.HTTP.LastModified = t
		}
	}
	c.begin(StageTransfer)
	room := bodies.Get().(*[]byte)
	defer giveBack(room)
	body, whole, err := p.read(res, room)
	r.HTTP.BodyLength = int64(len(body))
	r.Body = bytes.Clone(body[:min(len(body), bodyKept)])
	// The status is judged first: a wrong page that also breaks off is a wrong page.
	if r.Reason, r.Detail = p.judgeHead(res); r.Reason != "" {
		return r
	}
	if r.Detail, r.HTTP.RegexFailed = p.judgeHeaders(res.Header); r.HTTP.RegexFailed {
		r.Reason = Status
		return r
	}
	if err != nil {
		r.Reason, r.Detail = failure(ctx, StageTransfer, err)
		return r
	}
	if !whole && p.module.HTTP.BodyLimit > 0 {
		r.Reason, r.Detail = Body, fmt.Sprintf("body is longer than body_size_limit, %d bytes", int64(p.module.HTTP.BodyLimit))
		return r
	}
	if r.Detail, r.HTTP.RegexFailed = p.judgeBody(body, whole); r.HTTP.RegexFailed {
		r.Reason = Body
	}
	return r
}

// request builds the first request.
func (p *httpProber) request(ctx context.Context, target string) (*http.Request, error) {
	u, err := parseTarget(target)
	if err != nil {
		return nil, err
	}
	u.Host = strings.TrimSuffix(u.Host, ":") // without a port
	method := p.module.HTTP.Method
	if method == "" {
		method = http.MethodGet
	}
	req := (&http.Request{
		Method: method, URL: u, Host: p.host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: p.headers,
	}).WithContext(ctx)
	if !p.bare {
		req.Header = p.headers.Clone() // what adds credentials doesn't always take a copy
	}
	if req.Host == "" {
		req.Host = u.Host
	}
	if len(p.body) > 0 {
		req.ContentLength = int64(len(p.body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.body)), nil }
		req.Body, err = req.GetBody()
	}
	return req, err
}

// noAnswer says why there is no answer to judge.
func (p *httpProber) noAnswer(ctx context.Context, stage string, err error) (Reason, string) {
	var redirect *redirectError
	switch {
	case errors.As(err, &redirect):
		return Status, redirect.Error()
	case stage == "" && p.module.HTTP.Client.OAuth2 != nil: // its error quotes the answer of the token's server
		return Unmade, "no token from oauth2.token_url"
	case stage == "" && ctx.Err() != nil:
		return Unmade, "no time was left for it"
	case stage == "": // it came to no connection, as when a secret can't be read
		return Unmade, plain(err)
	case stage == StageTransfer: // bytes came, and no whole head of an answer
		stage = StageProcessing
	}
	reason, detail := failure(ctx, stage, err)
	switch {
	case reason == Timeout || reason == Unmade:
	case isAlert(err):
		reason = TLS
	case stage == StageProcessing:
		return failure(ctx, stage, headFailure(err))
	}
	return reason, detail
}

// bodies is the room that bodies are read into.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

func giveBack(room *[]byte) {
	if cap(*room) <= 64<<10 {
		bodies.Put(room)
	}
}

// read reads the body up to the limit; whole is false when there is more of it.
// It is in room, until that is given back.
func (p *httpProber) read(res *http.Response, room *[]byte) (body []byte, whole bool, err error) {
	limit := int64(p.module.HTTP.BodyLimit)
	if limit == 0 {
		limit = defaultBodyLimit
	}
	var from io.Reader = res.Body
	if coding := p.module.HTTP.Compression; strings.EqualFold(res.Header.Get("Content-Encoding"), coding) {
		if from, err = unpacked(coding, res.Body); err != nil {
			return nil, false, fmt.Errorf("%s: %w", coding, err)
		}
	}
	body, err = fill((*room)[:0], from, limit+1)
	*room = body
	if int64(len(body)) > limit {
		return body[:limit], false, nil
	}
	return body, true, err
}

// fill appends what from has, up to limit bytes in all.
func fill(b []byte, from io.Reader, limit int64) ([]byte, error) {
	for int64(len(b)) < limit {
		if len(b) == cap(b) {
			b = slices.Grow(b, cap(b))
		}
		n, err := from.Read(b[len(b):min(int64(cap(b)), limit)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		} else if err != nil {
			return b, err
		}
	}
	return b, nil
}

// unpacked undoes a coding of the content.
func unpacked(coding string, body io.Reader) (io.Reader, error) {
	switch coding {
	case "gzip":
		return gzip.NewReader(body)
	case "deflate":
		// What is called deflate is the format of zlib (RFC 9110, section 8.4.1.2);
		// some servers send it without the two bytes at its head, and that is what
		// blackbox_exporter reads. The low half of the first byte is 8 in zlib's
		// only (RFC 1950, section 2.2); the pair divides by 31.
		in := bufio.NewReader(body)
		head, err := in.Peek(2)
		if err == nil && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
			return zlib.NewReader(in)
		}
		return flate.NewReader(in), nil
	}
	return body, nil
}

func (p *httpProber) judgeHead(res *http.Response) (Reason, string) {
	h := p.module.HTTP
	switch {
	case len(h.ValidStatusCodes) > 0 && !slices.Contains(h.ValidStatusCodes, res.StatusCode):
		return Status, fmt.Sprintf("status %d, want one of %v", res.StatusCode, h.ValidStatusCodes)
	case len(h.ValidStatusCodes) == 0 && (res.StatusCode < 200 || res.StatusCode > 299):
		return Status, fmt.Sprintf("status %d, want 200 to 299", res.StatusCode)
	case len(h.ValidHTTPVersions) > 0 && !slices.ContainsFunc(h.ValidHTTPVersions, func(v string) bool { return httpVersion(v) == res.Proto }):
		return Status, fmt.Sprintf("version %s, want one of %v", oneLine(res.Proto), h.ValidHTTPVersions)
	case h.FailIfSSL && res.TLS != nil:
		return TLS, "TLS, where none is wanted"
	case h.FailIfNotSSL && res.TLS == nil:
		return TLS, "no TLS, where it is wanted"
	}
	return "", ""
}

// A headerRule is a HeaderMatch that is compiled.
type headerRule struct {
	HeaderMatch
	re *regexp.Regexp
}

func headerRules(ms []HeaderMatch) (rules []headerRule) {
	for _, m := range ms {
		rules = append(rules, headerRule{m, regexp.MustCompile(m.Regexp)})
	}
	return rules
}

// matches says whether one of the header's values does, and whether it has any.
func (r headerRule) matches(h http.Header) (found, there bool) {
	values := h.Values(r.Header)
	return slices.ContainsFunc(values, r.re.MatchString), len(values) > 0
}

func (p *httpProber) judgeHeaders(h http.Header) (detail string, failed bool) {
	for _, rule := range p.headerMatches {
		switch found, there := rule.matches(h); {
		case found:
			return fmt.Sprintf("header %s matches %q", rule.Header, rule.Regexp), true
		case !there && !rule.AllowMissing:
			return fmt.Sprintf("header %s is missing", rule.Header), true
		}
	}
	for _, rule := range p.headerNotMatches {
		switch found, there := rule.matches(h); {
		case there && !found:
			return fmt.Sprintf("header %s doesn't match %q", rule.Header, rule.Regexp), true
		case !there && !rule.AllowMissing:
			return fmt.Sprintf("header %s is missing", rule.Header), true
		}
	}
	return "", false
}

func (p *httpProber) judgeBody(body []byte, whole bool) (detail string, failed bool) {
	where := "body"
	if !whole {
		where = fmt.Sprintf("body's first %d bytes", len(body))
	}
	for _, re := range p.matches {
		if re.Match(body) {
			return fmt.Sprintf("%s: match for %q", where, re), true
		}
	}
	for _, re := range p.notMatches {
		if !re.Match(body) {
			return fmt.Sprintf("%s: no match for %q", where, re), true
		}
	}
	return "", false
}
