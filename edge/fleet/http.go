package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
)

// HTTP says how to reach a device by HTTP: prometheus/common's client settings,
// and the certificate's own sum where no CA has signed it.
type HTTP struct {
	// PinSHA256 is the SHA-256 of the certificate that the device shows, in hex.
	// Without a CA in tls_config it stands for one; with a CA both must be right.
	PinSHA256 string                      `yaml:"pin_sha256,omitempty"`
	Client    promconfig.HTTPClientConfig `yaml:",inline"`
}

// ErrPin says that a device showed another certificate than the one pinned.
var ErrPin = errors.New("the certificate is not the pinned one")

func (h *HTTP) setDirectory(dir string) { h.Client.SetDirectory(dir) }

func (h *HTTP) validate() (m edge.Mistakes) {
	if err := h.Client.Validate(); err != nil {
		m.Add("", "%v", err)
	}
	if _, err := h.pin(); err != nil {
		m.Add("pin_sha256", "%v", err)
	}
	if h.PinSHA256 != "" && h.Client.TLSConfig.InsecureSkipVerify {
		m.Add("tls_config.insecure_skip_verify", "leave it out: pin_sha256 says which certificate is right")
	}
	return m
}

// pin is the pinned sum; nil when there is none. Colons and case don't matter,
// so that what "openssl x509 -fingerprint -sha256" prints can be pasted.
func (h *HTTP) pin() ([]byte, error) {
	if h.PinSHA256 == "" {
		return nil, nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(h.PinSHA256, ":", ""))
	if err != nil || len(b) != sha256.Size {
		return nil, fmt.Errorf("want %d hex digits, as \"openssl x509 -noout -fingerprint -sha256\" prints them", 2*sha256.Size)
	}
	return b, nil
}

// validateURL wants a whole address without a user, query or fragment.
func validateURL(text, example string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return fmt.Errorf("%q: write the whole address, such as %s", cut(text), example)
	case !validPort(u.Port()):
		return fmt.Errorf("%q: its port is none", cut(text))
	case u.User != nil:
		return errors.New("holds a user: leave it out, credentials stand beside it")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("holds a query or fragment: leave it out")
	}
	return nil
}

// validPort takes the port of a URL, which may be left out.
func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return s == "" || err == nil && n > 0
}

// plain says where a certificate is pinned that nobody will show.
func (h *HTTP) plain(url string) (m edge.Mistakes) {
	if h.PinSHA256 != "" && strings.HasPrefix(strings.ToLower(url), "http:") {
		m.Add("pin_sha256", "nothing is verified at %s: write https://", cut(url))
	}
	return m
}

func cut(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = "..." + s[i:] // what stands before may be a password
	}
	return fmt.Sprintf("%.80s", s)
}

// client builds the HTTP client of one device. Each of its calls is told to
// o.Trace; redirects are not followed, whatever the settings say: a management
// API has none, and credentials are not to be carried elsewhere.
func (h *HTTP) client(device string, o Options) (*http.Client, error) {
	pin, err := h.pin()
	if err != nil {
		return nil, err
	}
	settings := h.Client
	settings.FollowRedirects = false
	build := func() (http.RoundTripper, error) {
		return promconfig.NewRoundTripperFromConfig(settings, "sluice", promconfig.WithUserAgent("Sluice"),
			promconfig.WithNewTLSConfigFunc(func(ctx context.Context, c *promconfig.TLSConfig, opts ...promconfig.TLSConfigOption) (*tls.Config, error) {
				t, err := promconfig.NewTLSConfigWithContext(ctx, c, opts...)
				if err == nil && pin != nil {
					t.InsecureSkipVerify = c.CA == "" && c.CAFile == ""
					t.VerifyConnection = pinned(pin)
				}
				return t, err
			}))
	}
	rt := &traced{device: device, next: &late{build: build}, trace: o.Trace}
	return &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

func pinned(pin []byte) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return ErrPin
		}
		if sum := sha256.Sum256(s.PeerCertificates[0].Raw); !bytes.Equal(sum[:], pin) {
			return fmt.Errorf("%w: it has the SHA-256 %s", ErrPin, hex.EncodeToString(sum[:]))
		}
		return nil
	}
}

// late is a transport that is built at the first call for which its files can be
// read: prometheus/common wants those of tls_config when it builds one, and reads
// all of them again later. Until then each call says what is missing.
type late struct {
	build func() (http.RoundTripper, error)

	mu   sync.Mutex
	next http.RoundTripper
}

// RoundTrip is http.RoundTripper's.
func (l *late) RoundTrip(r *http.Request) (*http.Response, error) {
	next, err := l.built()
	if err != nil {
		return nil, errors.Join(err, closed(r.Body))
	}
	return next.RoundTrip(r)
}

// closed ends a body that nobody will read, as a transport must.
func closed(body io.Closer) error {
	if body == nil {
		return nil
	}
	return body.Close()
}

func (l *late) built() (_ http.RoundTripper, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.next, err = l.build()
	}
	return l.next, err
}

// CloseIdleConnections is what http.Client looks for.
func (l *late) CloseIdleConnections() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// traced tells of each call to a device, and explains what went wrong with it.
// Its time is until the answer begins.
type traced struct {
	device string
	next   http.RoundTripper
	trace  func(Call)
}

// RoundTrip is http.RoundTripper's.
func (t *traced) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	answer, err := t.next.RoundTrip(r)
	if err != nil {
		err = helped(err)
	}
	if t.trace == nil {
		return answer, err
	}
	c := Call{
		Device: t.device, Operation: strings.ToLower(r.Method), Transport: r.URL.Scheme, Method: r.Method,
		Command: r.Method + " " + withoutToken(r.URL.Path), Duration: time.Since(start), Err: err,
		Write: r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.Contains(r.URL.Path, "/auth/"),
	}
	if err == nil {
		c.Code = answer.StatusCode
		if c.Code >= http.StatusBadRequest {
			c.Err = refusal(r, c.Code)
		}
	}
	t.trace(c)
	return answer, err
}

// refusal is the error of an answer that is no success, with what to do about it
// where the status alone tells.
func refusal(r *http.Request, code int) error {
	err := &StatusError{code}
	switch login := strings.HasSuffix(r.URL.Path, "/auth/refresh_tokens"); {
	case code == http.StatusUnauthorized && strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "):
		return fmt.Errorf("%w: the token is wrong or has expired", err)
	case code == http.StatusUnauthorized, code == http.StatusUnprocessableEntity && login: // source of 422: facts A2.4
		return fmt.Errorf("%w: check username and password", err)
	case code == http.StatusForbidden:
		return fmt.Errorf("%w: the user lacks the right for this", err)
	}
	return err
}

// helped says what to do about a device that can't be reached, and about a
// certificate that isn't trusted: devices of these kinds show one that signed itself.
func helped(err error) error {
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		return fmt.Errorf("a file of its settings: %w", file) // prometheus/common names the file twice, and paths are long
	}
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
		return &helpedError{err, "check the url, and that the device can be reached from here"}
	}
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		return &helpedError{err, "give it as tls_config.ca_file, or its SHA-256 as pin_sha256"}
	}
	if host := (x509.HostnameError{}); errors.As(err, &host) {
		return &helpedError{err, "give the name that it has as tls_config.server_name"}
	}
	return err
}

// maxHelped is how long such an error gets, in bytes: clients cut what they tell
// of a call at 200, from the end, and what to do about it stands there.
const maxHelped = 200

// A helpedError is a cause with what to do about it. The cause may quote
// certificates, of another CA for one, and gives way.
type helpedError struct {
	err  error
	help string
}

func (e *helpedError) Error() string {
	cause, room := strings.Join(strings.Fields(strings.ToValidUTF8(e.err.Error(), "?")), " "), maxHelped-len(": "+e.help)
	if len(cause) > room {
		at := room - len(" ...")
		for !utf8.RuneStart(cause[at]) {
			at--
		}
		cause = cause[:at] + " ..."
	}
	return cause + ": " + e.help
}

func (e *helpedError) Unwrap() error { return e.err }

// withoutToken hides what PTAF PRO wants in the path when a session ends: DELETE
// /auth/refresh_tokens/TOKEN.
func withoutToken(path string) string {
	const before = "/refresh_tokens/"
	if i := strings.Index(path, before); i >= 0 {
		return path[:i+len(before)] + "..."
	}
	return path
}

// A StatusError is an answer that is no success, for logs and counters. What the
// device said beside it, the client's own error tells.
type StatusError struct{ Code int }

func (e *StatusError) Error() string { return fmt.Sprintf("HTTP status %d", e.Code) }
