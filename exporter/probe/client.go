package probe

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/version"
)

// Bounds on what a hostile answer may cost, in bytes: of its head, and of what
// HTTP/2 may send ahead of what was asked for.
const (
	maxHead  = 256 << 10
	maxAhead = 1 << 20
)

// grantByCertificate is the value of oauth2.grant_type that takes a key instead of a secret (RFC 7523).
const grantByCertificate = "urn:ietf:params:oauth:grant-type:jwt-bearer"

func userAgent() string {
	if version.Version == "" {
		return "Sluice/unknown"
	}
	return "Sluice/" + version.Version
}

// newTransport builds what [promconfig.NewRoundTripperFromConfig] builds, with
// bounds of our own, and without its count of connections in a registry that
// all of the program shares. Connections are kept in k; nil keeps none.
func newTransport(c promconfig.HTTPClientConfig, d dialer, k *kept) (http.RoundTripper, error) {
	build := func(t *tls.Config) (http.RoundTripper, error) {
		var protocols http.Protocols
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(c.EnableHTTP2)
		proxy := c.Proxy()
		others := &traced{&http.Transport{
			DialContext:            d.dial,
			TLSClientConfig:        t,
			Proxy:                  fenced(proxy),
			ProxyConnectHeader:     c.GetProxyConnectHeader(),
			Protocols:              &protocols,
			HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: maxAhead, MaxReceiveBufferPerConnection: maxAhead},
			DisableKeepAlives:      true, // a probe shows what a new client meets
			DisableCompression:     true, // where it is wanted it is in the configuration
			MaxResponseHeaderBytes: maxHead,
		}}
		if proxy != nil {
			return authenticated(c, d, &transport{nil, others})
		}
		w := &wire{d, t.Clone(), k, others}
		if w.tls.NextProtos = []string{"http/1.1"}; c.EnableHTTP2 {
			w.tls.NextProtos = []string{"h2", "http/1.1"}
		}
		others.DialTLSContext = w.dialTLS
		return authenticated(c, d, &transport{w, others})
	}
	t, err := promconfig.NewTLSConfig(&c.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("tls_config: %w", err)
	}
	if c.TLSConfig.CAFile == "" && c.TLSConfig.CertFile == "" && c.TLSConfig.KeyFile == "" {
		return build(t)
	}
	var files promconfig.TLSRoundTripperSettings // read again for each request, so that certificates may be renewed
	for _, f := range []struct {
		to   *promconfig.SecretReader
		text promconfig.Secret
		file string
	}{
		{&files.CA, promconfig.Secret(c.TLSConfig.CA), c.TLSConfig.CAFile},
		{&files.Cert, promconfig.Secret(c.TLSConfig.Cert), c.TLSConfig.CertFile},
		{&files.Key, c.TLSConfig.Key, c.TLSConfig.KeyFile},
	} {
		*f.to = secret(f.text, f.file)
	}
	return promconfig.NewTLSRoundTripper(t, files, build)
}

// authenticated puts the credentials of c before rt.
func authenticated(c promconfig.HTTPClientConfig, d dialer, rt http.RoundTripper) (http.RoundTripper, error) {
	if a := c.Authorization; a != nil {
		rt = promconfig.NewAuthorizationCredentialsRoundTripper(a.Type, secret(a.Credentials, a.CredentialsFile), rt)
	}
	if b := c.BasicAuth; b != nil {
		rt = promconfig.NewBasicAuthRoundTripper(
			secret(promconfig.Secret(b.Username), b.UsernameFile), secret(b.Password, b.PasswordFile), rt)
	}
	if o := c.OAuth2; o != nil {
		credential := secret(o.ClientSecret, o.ClientSecretFile)
		if o.GrantType == grantByCertificate {
			credential = secret(o.ClientCertificateKey, o.ClientCertificateKeyFile)
		}
		// The token is fetched outside of the probe's context.
		rt = promconfig.NewOAuth2RoundTripper(credential, o, rt,
			promconfig.WithKeepAlivesDisabled(), promconfig.WithDialContextFunc(d.dialBriefly))
	}
	if c.HTTPHeaders != nil {
		rt = promconfig.NewHeadersRoundTripper(c.HTTPHeaders, rt)
	}
	return rt, nil
}

// secret reads a secret that stands in the configuration or in a file; it is nil without either.
func secret(text promconfig.Secret, file string) promconfig.SecretReader {
	switch {
	case text != "":
		return promconfig.NewInlineSecret(string(text))
	case file != "":
		return promconfig.NewFileSecret(file)
	}
	return nil
}

// withoutCredentials is c as it may be shown to hosts that nobody configured.
func withoutCredentials(c promconfig.HTTPClientConfig) promconfig.HTTPClientConfig {
	c.Authorization, c.BasicAuth, c.OAuth2, c.HTTPHeaders = nil, nil, nil, nil
	return c
}

// hops takes the requests of one probe, of which there are several when the
// target redirects.
type hops struct {
	course       *course
	host         string // the target's, without its port
	first, other http.RoundTripper
	bare         bool // no credentials are put before them
	follows      bool

	had *http.Response // to the first request, when http.Client makes it again
}

// A redirectError says why a redirect is not followed, without quoting it.
type redirectError struct{ why string }

func (e *redirectError) Error() string { return "redirect " + e.why }

// do makes the request, and those that it is redirected to, whose number goes to count.
func (h *hops) do(r *http.Request, count func(int)) (res *http.Response, err error) {
	// Most answers are none that net/http has to follow: its client is for those,
	// for credentials, and for the words of its errors about TLS.
	if h.bare && r.URL.Scheme == "http" && r.URL.User == nil {
		if res, err = h.RoundTrip(r); err != nil || !h.follows || res.StatusCode < 300 || res.StatusCode > 399 {
			return res, err
		}
		h.had = res
	}
	client := &http.Client{Transport: h, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		err := h.check(next, via)
		if err == nil {
			count(len(via))
		}
		return err
	}}
	return client.Do(r)
}

// RoundTrip makes one request.
func (h *hops) RoundTrip(r *http.Request) (*http.Response, error) {
	if res := h.had; res != nil {
		h.had = nil
		return res, nil
	}
	h.course.begin("") // until it dials
	rt := h.other
	if r.URL.Hostname() == h.host {
		rt = h.first
	}
	res, err := rt.RoundTrip(r)
	if err != nil || res.StatusCode < 300 || res.StatusCode > 399 {
		return res, err
	}
	// net/http would quote an address that it can't read in its error, also when
	// the redirect is not to be followed.
	if _, err := url.Parse(res.Header.Get("Location")); err != nil {
		if h.follows {
			return nil, errors.Join(&redirectError{"to what is no address"}, res.Body.Close())
		}
		res.Header.Del("Location")
	}
	return res, nil
}

// check judges a redirect before it is followed.
func (h *hops) check(next *http.Request, via []*http.Request) error {
	switch {
	case !h.follows:
		return http.ErrUseLastResponse
	case len(via) > maxRedirects:
		return &redirectError{fmt.Sprintf("after %d others", maxRedirects)}
	case next.URL.Scheme != "http" && next.URL.Scheme != "https":
		return &redirectError{"to neither http nor https"}
	case next.URL.Host == "":
		return &redirectError{"without a host"}
	}
	return nil
}
