// Package alertmanager opens the API of an Alertmanager for those who read from it
// and those who post to it: answers are bounded, refusals are errors at once, a
// redirect never turns a POST into a GET, and no error says a secret.
package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/client/alert"
	"github.com/prometheus/alertmanager/api/v2/client/general"
	promconfig "github.com/prometheus/common/config"
)

// maxAnswer bounds one answer of an Alertmanager, in bytes. One with 10,000
// alerts has about 10 MiB.
const maxAnswer = 64 << 20

// A Server is where to ask.
type Server struct {
	URL  string // http(s)://host[:port][/prefix]; "/api/v2" is added
	HTTP promconfig.HTTPClientConfig
}

// An API is one Alertmanager. The generated client is used without its Validate
// functions: they want fields that 0.25 doesn't send (seen with client 0.34.2).
type API struct {
	Name    string // its URL, which holds no secret
	Alerts  alert.ClientService
	General general.ClientService
}

// Open checks the address, and asks nothing yet.
func Open(s Server) (API, error) {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil:
		return API{}, errors.New("url can't be read: want http(s)://host:port/prefix") // url.Error quotes it, secrets and all
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return API{}, errors.New("url: want http(s)://host:port/prefix")
	case u.User != nil:
		return API{}, errors.New("url holds a user: put it in basic_auth")
	case u.RawQuery != "" || u.Fragment != "":
		return API{}, errors.New("url holds a query or fragment: leave it out")
	}
	c, err := promconfig.NewClientFromConfig(s.HTTP, "alertmanager")
	if err != nil {
		return API{}, err
	}
	c.Transport = strict{c.Transport}
	t := httptransport.NewWithClient(u.Host, path.Join("/", u.Path, "api/v2"), []string{u.Scheme}, c)
	t.SetDebug(false) // the environment's DEBUG would print requests, credentials included
	return API{
		Name:    u.Scheme + "://" + u.Host + strings.TrimSuffix(u.Path, "/"),
		Alerts:  alert.New(t, strfmt.Default),
		General: general.New(t, strfmt.Default),
	}, nil
}

// A StatusError is an answer that is a refusal.
type StatusError int

func (e StatusError) Error() string {
	return fmt.Sprintf("answered %d %s", int(e), http.StatusText(int(e)))
}

// errRedirected says that following would ask for something else.
var errRedirected = errors.New("redirects the request, which would lose its body: write the address that it leads to")

// Reason is an error in one line without the question, whose filters fill pages.
func Reason(err error) string {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	if len(line) > 200 {
		line = line[:200]
	}
	return strings.ToValidUTF8(line, "")
}

// strict ends an answer that is too long with an error, and makes an error of a
// refusal at once: the generated client would first try to read the page that a
// proxy put in its place.
type strict struct{ next http.RoundTripper }

func (s strict) RoundTrip(r *http.Request) (*http.Response, error) {
	// After a 301, 302 or 303 net/http goes on with a GET, and the list that answers
	// it would pass for alerts that were taken.
	if before := r.Response; before != nil && before.Request != nil && before.Request.Method != r.Method {
		return nil, errRedirected
	}
	resp, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if code := resp.StatusCode; code >= 400 {
		return nil, errors.Join(StatusError(code), resp.Body.Close())
	}
	resp.Body = &limitedBody{resp.Body, maxAnswer}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	left int64
}

var errLongAnswer = errors.New("the answer is too long")

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongAnswer
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
