// Package ptaf speaks API v2 of PTAF 3.x: it reads upstreams and gateways, and
// takes backends out of rotation and gives them back. The API has no locks and
// no versions, so a write looks twice before it and once after it; see
// [Client.Change]. The package neither logs nor counts: it is given its
// [http.Client], which may do both.
package ptaf

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultTimeout bounds each call when Options.Timeout is zero.
const DefaultTimeout = 5 * time.Second

// DefaultRetries is how often a failed read is tried again when Options.Retries is zero.
const DefaultRetries = 2

const (
	maxAnswer = 8 << 20 // of one call; a thousand backends are some 200 kB
	maxAtOnce = 8       // reads of one [Client.Read]; nothing is known of a rate limit
	patience  = 100 * time.Millisecond
)

// Options say how to reach one PTAF.
type Options struct {
	// URLs are the API's addresses, one for each node: "https://192.0.2.10:8443/api/waf/v2".
	URLs []string
	// Gateways are the nodes' names in /gateways, in the order of URLs. When empty
	// a node is found there by its address.
	Gateways []string
	// HTTP is ready to use: authentication, TLS, headers, tracing. Redirects are
	// not followed, whatever it says of them.
	HTTP *http.Client
	// Upstreams are the names or ids of those to read; all when empty.
	Upstreams []string
	// Timeout bounds each call. Zero means DefaultTimeout.
	Timeout time.Duration
	// Retries is how often a read that failed on the way is tried again. Zero means
	// DefaultRetries, less means never. Writes are never tried again.
	Retries int
}

// A Client talks to one PTAF, alone or a cluster. It is safe for concurrent use;
// it makes one write at a time.
type Client struct {
	nodes     []*node
	http      *http.Client
	upstreams []string
	timeout   time.Duration
	retries   int
	writing   chan struct{} // holds a token while a write goes on
}

// A node is one management address.
type node struct {
	url     string // without a slash at its end
	host    string // of url, without the port
	gateway string // its name in /gateways; empty: not told

	mu     sync.Mutex
	silent time.Time         // until when /gateways is known not to be there
	ids    map[string]string // of the upstreams that the last reading gave, by name
}

// New checks the options; it doesn't dial.
func New(o Options) (*Client, error) {
	c := &Client{upstreams: slices.Clone(o.Upstreams), timeout: o.Timeout, retries: o.Retries, http: &http.Client{}, writing: make(chan struct{}, 1)}
	if len(o.URLs) == 0 {
		return nil, errors.New("no URL: want the address of the management API, such as https://192.0.2.10:8443/api/waf/v2")
	}
	if len(o.Gateways) > 0 && len(o.Gateways) != len(o.URLs) {
		return nil, fmt.Errorf("%d gateways for %d URLs: want one for each, in their order", len(o.Gateways), len(o.URLs))
	}
	for i, text := range o.URLs {
		n, err := newNode(text)
		if err != nil {
			return nil, fmt.Errorf("URL %d: %w", i+1, err)
		}
		if slices.ContainsFunc(c.nodes, func(other *node) bool { return other.url == n.url }) {
			return nil, fmt.Errorf("URL %d: %s is there twice", i+1, n.url)
		}
		if len(o.Gateways) > 0 {
			n.gateway = o.Gateways[i]
		}
		c.nodes = append(c.nodes, n)
	}
	if slices.Contains(o.Upstreams, "") {
		return nil, errors.New("an upstream without a name: want names or ids, or none for all")
	}
	if o.HTTP != nil {
		*c.http = *o.HTTP
	}
	// A management API has nowhere to send us, and a write that is redirected
	// would become a read (RFC 9110, 15.4.2). The answer itself is the error.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	switch {
	case c.retries == 0:
		c.retries = DefaultRetries
	case c.retries < 0:
		c.retries = 0
	}
	return c, nil
}

func newNode(text string) (*node, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("want the whole address, such as https://192.0.2.10:8443/api/waf/v2") // it may hold a password: not shown
	case u.User != nil:
		return nil, errors.New("holds a user: credentials stand elsewhere")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("holds a query or a fragment")
	}
	return &node{url: strings.TrimRight(u.String(), "/"), host: u.Hostname()}, nil
}

// get reads path of one node. Failures on the way are tried again; answers that
// say no are not. A nil error comes with a whole JSON document.
func (c *Client) get(ctx context.Context, n *node, path string) ([]byte, error) {
	for try := 0; ; try++ {
		body, err := c.call(ctx, n, http.MethodGet, path, nil)
		switch {
		case err == nil && !json.Valid(body):
			return nil, &callError{http.MethodGet, path, fmt.Errorf("%w: check the URL", notJSON(body))}
		case err == nil:
			return body, nil
		case try >= c.retries || !passing(err) || !sleep(ctx, try):
			return nil, err
		}
	}
}

// sleep waits before the next try, some longer each time, and by chance, so that
// many clients don't come back together. It says whether there is to be one.
func sleep(ctx context.Context, try int) bool {
	wait := time.NewTimer(time.Duration((0.5 + rand.Float64()) * float64(patience<<min(try, 5))))
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// passing says whether a failed read may go well when it is tried again. An
// answer that could be understood is final, and so is a wrong certificate.
func passing(err error) bool {
	var status *APIError
	if errors.As(err, &status) {
		return status.Status >= http.StatusInternalServerError || status.Status == http.StatusTooManyRequests
	}
	var certificate *tls.CertificateVerificationError
	return !errors.Is(err, ErrAnswer) && !errors.As(err, &certificate) && !errors.Is(err, context.Canceled)
}

// call makes one call, once, and returns the whole body of an answer that says
// yes. A body that breaks off is io.ErrUnexpectedEOF.
func (c *Client) call(ctx context.Context, n *node, method, path string, body []byte) ([]byte, error) {
	short, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(short, method, n.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, &callError{method, path, err}
	}
	r.Header.Set("Accept", "application/json")
	if method != http.MethodGet {
		r.Header.Set("Content-Type", "application/json")
	} else {
		r.Body, r.GetBody, r.ContentLength = http.NoBody, nil, 0
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, &callError{method, path, c.tidy(ctx, short, err)}
	}
	defer answer.Body.Close() // everything was read, or is not wanted
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case answer.StatusCode != http.StatusOK && (method == http.MethodGet || answer.StatusCode/100 != 2):
		return nil, apiError(method, path, answer, raw) // what is there of its text will do
	case err != nil:
		return nil, &callError{method, path, fmt.Errorf("answer breaks off after %d bytes: %w", len(raw), c.tidy(ctx, short, err))}
	case len(raw) > maxAnswer:
		return nil, &callError{method, path, fmt.Errorf("%w: longer than %d bytes", ErrAnswer, maxAnswer)}
	}
	return raw, nil
}

// tidy makes a call's running out of time ErrTimeout, and leaves out what
// net/http puts before a cause: method and URL are told anyway.
func (c *Client) tidy(ctx, short context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(short.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w after %s", ErrTimeout, c.timeout)
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		if outer.Timeout() {
			return fmt.Errorf("%w: %w", ErrTimeout, outer.Err)
		}
		return outer.Err
	}
	return err
}
