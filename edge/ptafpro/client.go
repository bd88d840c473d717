// Package ptafpro speaks the management API v4 of PTAF PRO: log-in, tenant and
// rotating tokens, the backends, traffic profiles and applications of one tenant,
// and writes of one field of one of them. It neither logs nor counts: a caller
// that wants to does so in the [http.Client] that it hands in.
package ptafpro

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// DefaultTimeout bounds one call when Options.Timeout is zero.
const DefaultTimeout = 5 * time.Second

const (
	defaultRetries = 2
	maxAnswer      = 8 << 20                // of one call
	backOff        = 200 * time.Millisecond // before the first retry, about; doubled each time
)

// Options say how to reach one tenant of one PTAF PRO.
type Options struct {
	URL    string // "https://192.0.2.20/api/ptaf/v4"
	Tenant string // id or name; empty: the one marked as default, else the all-zero UUID

	Username string // to log in with
	LDAP     bool   // the user is one of the directory

	// Password is asked for at each log-in. Token is instead of a log-in and gives
	// a static API token, for each call; the tenant is the token's own.
	Password, Token func() (string, error)

	HTTP     *http.Client  // ready: TLS, proxy, headers; nil: a plain one. Redirects are refused whatever it says
	Timeout  time.Duration // of each call; zero: DefaultTimeout
	Retries  int           // of reads, with jitter; zero: 2; negative: none
	Instance string        // cloud edition: value of the cookie af_instance

	// Fingerprint names this client to the device and is the same in all calls
	// of a session. Empty: a random one.
	Fingerprint string

	Profiles []string // traffic profiles, names or ids; empty: all

	// Write says that steps are wanted. Whether a backend's "enabled" can be
	// written is then found out by writing to one backend the value that it has;
	// without it the client never writes.
	Write bool
}

// A Client talks to one PTAF PRO. It is safe for concurrent use.
type Client struct {
	base     string
	http     *http.Client
	timeout  time.Duration
	retries  int
	instance string
	profiles []string
	write    bool
	session  *session

	probing sync.Mutex // holds what is known of writing; see write.go
	known   writable

	about about // see about.go
}

// New checks the options; it calls nobody.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("url: want https://ADDRESS/api/ptaf/v4") // what stands there may hold a password
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("url: want no user, query or fragment in it")
	case o.Token == nil && (o.Username == "" || o.Password == nil):
		return nil, errors.New("want a username with a password, or a token")
	case o.Token != nil && (o.Username != "" || o.Password != nil):
		return nil, errors.New("want a username with a password, or a token, not both")
	case strings.ContainsFunc(o.Instance, func(r rune) bool { return unprintable(r) || strings.ContainsRune(`",;\`, r) }):
		return nil, errors.New("instance: want the instance's URL")
	}
	c := &Client{
		base: strings.TrimSuffix(o.URL, "/"), timeout: o.Timeout, retries: o.Retries,
		instance: o.Instance, profiles: o.Profiles, write: o.Write,
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	switch {
	case c.retries == 0:
		c.retries = defaultRetries
	case c.retries < 0:
		c.retries = 0
	}
	plain := http.Client{}
	if o.HTTP != nil {
		plain = *o.HTTP
	}
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &plain
	c.session = newSession(c, o)
	return c, nil
}

func unprintable(r rune) bool { return r <= ' ' || r > '~' }

// Close logs out and ends idle connections. A static token stays valid.
func (c *Client) Close(ctx context.Context) error {
	defer c.http.CloseIdleConnections()
	if err := c.session.end(ctx); err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	return nil
}

// A request is one call as it goes out. Path is below the base.
type request struct {
	method, path string
	shown        string // path for errors, where the real one holds a secret
	bearer       string
	body         any      // as JSON; nil: none
	secrets      []string // that an answer might repeat
}

// do makes one call, once, and returns the body of a success.
func (c *Client) do(ctx context.Context, q request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var body io.Reader
	if q.body != nil {
		raw, err := json.Marshal(q.body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", q.method, q.name(), err)
		}
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, c.base+q.path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: the path can't be asked for", q.method, q.name()) // the cause may hold the path
	}
	r.Header.Set("Accept", "application/json")
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+q.bearer)
	}
	if c.instance != "" {
		// The cloud edition finds its instance by this cookie. Source: facts A2.1, one client.
		r.AddCookie(&http.Cookie{Name: "af_instance", Value: c.instance})
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, &callError{q.method, q.name(), c.tidy(ctx, err)}
	}
	defer answer.Body.Close() // everything wanted was read
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return nil, &APIError{q.method, q.name(), answer.StatusCode, "a redirect, which isn't followed: check the URL"}
	case answer.StatusCode >= 400:
		return nil, &APIError{q.method, q.name(), answer.StatusCode, errorText(raw, append(q.secrets, q.bearer)...)}
	case err != nil:
		return nil, &callError{q.method, q.name(), fmt.Errorf("the answer breaks off after %d bytes: %w", len(raw), c.tidy(ctx, err))}
	case len(raw) > maxAnswer:
		return nil, fmt.Errorf("%s %s: longer than %d bytes: %w", q.method, q.name(), maxAnswer, ErrAnswer)
	}
	return raw, nil
}

func (q request) name() string {
	if q.shown != "" {
		return q.shown
	}
	return q.path
}

// tidy makes every kind of running out of time ErrTimeout, and leaves out the
// URL, which may hold a refresh token.
func (c *Client) tidy(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w after %s", ErrTimeout, c.timeout)
	}
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// tries is how often a call is made when its token is refused: as it is, with
// a renewed token, and after one log-in. Source: client practice, facts A2.4.
const tries = 3

// call makes a call with a token. One that was refused for its token did nothing
// and is made again with another, writes too; sent says that it may have done
// something.
func (c *Client) call(ctx context.Context, method, path string, body any) (raw []byte, sent bool, err error) {
	for try := range tries {
		token, terr := c.session.token(ctx)
		if terr != nil {
			return nil, false, terr
		}
		sent = true
		raw, err = c.do(ctx, request{method: method, path: path, bearer: token, body: body})
		if !tokenRefused(err) {
			return raw, sent, err
		}
		if sent = false; try == tries-1 || !c.session.refused(token, try > 0) {
			break
		}
	}
	return nil, sent, err
}

// get reads, again after what may pass.
func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	for try := 0; ; try++ {
		raw, _, err := c.call(ctx, http.MethodGet, path, nil)
		if err == nil || try >= c.retries || !passing(err) || ctx.Err() != nil {
			return raw, err
		}
		wait := backOff << try
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return nil, err
		}
	}
}
