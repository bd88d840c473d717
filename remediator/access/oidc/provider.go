package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	promconfig "github.com/prometheus/common/config"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

const (
	askTime  = 10 * time.Second // for one answer of the provider
	freshFor = time.Hour        // for what it says of itself
	maxBody  = 1 << 20          // of one answer, in bytes
)

// errRedirect says that the provider sends us elsewhere with what is meant for it alone.
var errRedirect = errors.New("redirects to another place")

// A provider is who knows the people, under one configuration.
type provider struct {
	c        *Config
	redirect string
	stamp    string
	client   *http.Client
	asking   singleflight.Group

	mu   sync.Mutex
	says *metadata // nil until it was reached
}

// metadata is what a provider says of itself.
type metadata struct {
	*oidc.Provider
	verifier *oidc.IDTokenVerifier
	style    oauth2.AuthStyle
	signs    bool // its answers say from whom they come
	at       time.Time
}

func newProvider(c *Config, redirect string) (*provider, error) {
	if c.ClientSecretFile != "" {
		if _, err := c.secret(); err != nil {
			return nil, fmt.Errorf("access.oidc.client_secret_file: %w", err)
		}
	}
	client, err := promconfig.NewClientFromConfig(c.Client, "oidc")
	if err != nil {
		return nil, fmt.Errorf("access.oidc: %w", err)
	}
	client.Timeout = askTime
	client.Transport = bounded{client.Transport}
	follow := client.CheckRedirect
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.Method != http.MethodGet || r.URL.Scheme != via[0].URL.Scheme || r.URL.Host != via[0].URL.Host {
			return errRedirect
		}
		if follow != nil {
			return follow(r, via)
		}
		if len(via) >= 5 {
			return errRedirect
		}
		return nil
	}
	return &provider{c: c, redirect: redirect, stamp: c.stamp(), client: client}, nil
}

// discover returns what the provider says of itself, and asks it where we don't
// know, or knew it long ago. Who waits for the same answer shares it.
func (p *provider) discover(ctx context.Context) (*metadata, error) {
	p.mu.Lock()
	known := p.says
	p.mu.Unlock()
	if known != nil && time.Since(known.at) < freshFor {
		return known, nil
	}
	answer := p.asking.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), askTime) // not that of the first to ask
		defer cancel()
		m, err := p.ask(ctx)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		p.says = m
		p.mu.Unlock()
		return m, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-answer:
		if a.Err != nil && known != nil {
			return known, nil // as good as it was
		}
		if a.Err != nil {
			return nil, fmt.Errorf("discover %s: %w", p.c.Issuer, a.Err)
		}
		return a.Val.(*metadata), nil
	}
}

func (p *provider) ask(ctx context.Context) (*metadata, error) {
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.c.Issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		JWKS    string   `json:"jwks_uri"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
		PKCE    []string `json:"code_challenge_methods_supported"`
		Signs   bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, err
	}
	e := found.Endpoint()
	for name, text := range map[string]string{"authorization_endpoint": e.AuthURL, "token_endpoint": e.TokenURL, "jwks_uri": more.JWKS} {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || (u.Scheme != "https" && !strings.HasPrefix(p.c.Issuer, "http:")) {
			return nil, fmt.Errorf("its %s is %q: want https", name, text)
		}
	}
	if len(more.PKCE) > 0 && !slices.Contains(more.PKCE, "S256") {
		return nil, fmt.Errorf("it does PKCE by %s: want S256", strings.Join(more.PKCE, ", "))
	}
	m := &metadata{Provider: found, at: time.Now(), signs: more.Signs, style: oauth2.AuthStyleInHeader}
	// What isn't listed is client_secret_basic. Source: OpenID Connect Discovery 1.0, 3.
	if p.c.ClientSecretFile == "" || (len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic")) {
		m.style = oauth2.AuthStyleInParams
	}
	skew := time.Duration(p.c.ClockSkew)
	m.verifier = found.Verifier(&oidc.Config{ClientID: p.c.ClientID, Now: func() time.Time { return time.Now().Add(-skew) }})
	return m, nil
}

// oauth is the client as the provider knows it. The secret is read each time, so
// that a new one needs no reload.
func (p *provider) oauth(m *metadata) (*oauth2.Config, error) {
	c := &oauth2.Config{ClientID: p.c.ClientID, Endpoint: m.Endpoint(), RedirectURL: p.redirect, Scopes: p.c.Scopes}
	c.Endpoint.AuthStyle = m.style
	if p.c.ClientSecretFile == "" {
		return c, nil
	}
	var err error
	c.ClientSecret, err = p.c.secret()
	return c, err
}

// secret reads the client's secret.
func (c *Config) secret() (string, error) {
	text, err := os.ReadFile(c.ClientSecretFile)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s: is empty", c.ClientSecretFile)
	}
	return secret, nil
}

// bounded reads no more of an answer than one can be long.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)
	}
	return resp, err
}

// brief is what went wrong on one line. The provider's own words may be many.
func brief(err error) string {
	const most = 300
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.ErrorCode == "" && refused.Response != nil {
		return "the provider answers " + refused.Response.Status // and a page for people
	}
	line := []rune(strings.Join(strings.Fields(err.Error()), " "))
	if len(line) > most {
		return string(line[:most]) + "..."
	}
	return string(line)
}
