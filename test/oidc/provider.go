// Package oidc is a small OpenID Connect provider for tests: real HTTP, discovery,
// the authorization code flow with PKCE, keys that can be swapped. It is as strict as
// a provider has to be with its clients, and can be made to misbehave in all the
// ways that a client has to notice.
//
// It is written from the specifications, not from our client, so that the two are
// independent readings.
package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/serve"
)

// The one client that the provider knows.
const (
	ClientID     = "sluice"
	ClientSecret = "not-a-real-secret"
)

// Claims are what is said of somebody.
type Claims map[string]any

// Faults are ways to misbehave. The zero value has none.
type Faults struct {
	Discovery, Keys, Token, UserInfo int // answers with this status instead
	DiscoveryIssuer                  string
	DiscoveryToken                   string // the token endpoint that it names
	Hang                             bool   // all answers wait until the caller gives up
	Huge                             bool   // discovery has 100 MB; Asked("megabytes") says how many were taken
	Redirect                         string // the token endpoint sends there

	Deny       string   // at the log-in: an error code instead of a code
	State      string   // another one comes back
	Issuer     string   // another one comes back, in the redirect
	NoIssuer   bool     // none comes back, although discovery says so
	PKCE       []string // the methods that it names
	NoIDToken  bool
	Algorithm  string // none or HS256 instead of the right one
	ForeignKey bool   // signed with a key that isn't published
	Claims     Claims // take the place of the right ones; nil values: left out
	UserClaims Claims // the same in the user info
}

// A Provider runs until the end of the test.
type Provider struct {
	Issuer string
	PEM    []byte // the certificate, with TLS

	mu       sync.Mutex
	redirect string
	public   bool
	methods  []string
	person   Claims
	more     Claims // told in the user info only
	faults   Faults
	keys     []*key
	codes    map[string]*grant
	tokens   map[string]Claims // by access token
	asked    map[string]int
	released chan struct{}
}

// A grant waits for its code to be swapped.
type grant struct {
	nonce, challenge string
	person           Claims
}

// Options of [Start].
type Options struct {
	Address   string // where to listen, when it was free a moment ago; empty: anywhere
	TLS       bool
	Algorithm string   // RS256 (left out) or ES256
	Public    bool     // the client has no secret
	Methods   []string // how the client may prove its secret; left out: both ways, and not told
}

// Start starts a provider on a free port of loopback.
func Start(tb testing.TB, o Options) *Provider {
	tb.Helper()
	p := &Provider{
		public: o.Public, methods: o.Methods, codes: map[string]*grant{}, tokens: map[string]Claims{}, asked: map[string]int{},
		released: make(chan struct{}),
	}
	tb.Cleanup(func() { close(p.released) })
	p.keys = []*key{newKey(tb, o.Algorithm)}
	mux := http.NewServeMux()
	for path, h := range map[string]http.HandlerFunc{
		"GET /realms/main/.well-known/openid-configuration": p.discovery,
		"GET /realms/main/keys":                             p.jwks,
		"GET /realms/main/authorize":                        p.authorize,
		"POST /realms/main/token":                           p.token,
		"GET /realms/main/userinfo":                         p.userInfo,
	} {
		name := path[strings.LastIndexByte(path, '/')+1:]
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			p.asked[name]++
			hang := p.faults.Hang
			p.mu.Unlock()
			if hang {
				select {
				case <-r.Context().Done():
				case <-p.released:
				}
				return
			}
			h(w, r)
		})
	}
	var conf *tls.Config
	scheme := "http"
	if o.TLS {
		cert, pem, err := serve.SelfSigned("127.0.0.1")
		if err != nil {
			tb.Fatal(err)
		}
		p.PEM, conf, scheme = pem, &tls.Config{Certificates: []tls.Certificate{cert}}, "https"
	}
	p.Issuer = scheme + "://" + listen(tb, o.Address, mux, conf) + "/realms/main"
	return p
}

// Client says where the client wants people sent back.
func (p *Provider) Client(redirect string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.redirect = redirect
}

// LogIn makes whoever comes to the provider from now on this person, who is logged in
// there already. More is told in the user info only.
func (p *Provider) LogIn(person, more Claims) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.person, p.more = person, more
}

// Misbehave does so from now on.
func (p *Provider) Misbehave(f Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
}

// Rotate signs with a new key, under a new name, from now on; the old ones are no longer
// published.
func (p *Provider) Rotate(tb testing.TB, algorithm string) {
	k := newKey(tb, algorithm)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = []*key{k}
}

// Asked is how often the page of this name was asked for: openid-configuration, keys,
// authorize, token or userinfo.
func (p *Provider) Asked(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[name]
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fail(w, p.faults.Discovery) {
		return
	}
	if p.faults.Huge {
		w.Header().Set("Content-Type", "application/json")
		for range 100 {
			if _, err := w.Write([]byte(strings.Repeat(" ", 1<<20))); err != nil {
				return // the client had enough
			}
			p.asked["megabytes"]++
		}
		return
	}
	d := Claims{
		"issuer":                                         or(p.faults.DiscoveryIssuer, p.Issuer),
		"authorization_endpoint":                         p.Issuer + "/authorize",
		"token_endpoint":                                 or(p.faults.DiscoveryToken, p.Issuer+"/token"),
		"userinfo_endpoint":                              p.Issuer + "/userinfo",
		"jwks_uri":                                       p.Issuer + "/keys",
		"response_types_supported":                       []string{"code"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"RS256", "ES256", "HS256", "none"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	}
	if len(p.faults.PKCE) > 0 {
		d["code_challenge_methods_supported"] = p.faults.PKCE
	}
	if len(p.methods) > 0 {
		d["token_endpoint_auth_methods_supported"] = p.methods
	}
	answer(w, http.StatusOK, d)
}

func (p *Provider) jwks(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fail(w, p.faults.Keys) {
		return
	}
	var all []Claims
	for _, k := range p.keys {
		all = append(all, k.public())
	}
	answer(w, http.StatusOK, Claims{"keys": all})
}

// authorize is where the browser comes. Who asks wrongly is told so here, and not
// sent back. Source: RFC 6749, 4.1.2.1; RFC 7636, 4.3.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	challenge, err := base64.RawURLEncoding.DecodeString(q.Get("code_challenge"))
	switch {
	case q.Get("client_id") != ClientID:
		http.Error(w, "unknown client", http.StatusBadRequest)
		return
	case p.redirect == "" || q.Get("redirect_uri") != p.redirect:
		http.Error(w, "redirect_uri is not that of the client: "+q.Get("redirect_uri"), http.StatusBadRequest)
		return
	case q.Get("response_type") != "code", !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		http.Error(w, "want response_type=code and scope openid", http.StatusBadRequest)
		return
	case q.Get("code_challenge_method") != "S256", err != nil, len(challenge) != sha256.Size:
		http.Error(w, "want PKCE by S256", http.StatusBadRequest)
		return
	case len(q.Get("state")) < 20, len(q.Get("nonce")) < 20:
		http.Error(w, "want a state and a nonce that nobody guesses", http.StatusBadRequest)
		return
	case p.person == nil:
		http.Error(w, "nobody is logged in", http.StatusForbidden)
		return
	}
	back := url.Values{"state": {or(p.faults.State, q.Get("state"))}, "iss": {or(p.faults.Issuer, p.Issuer)}}
	if p.faults.NoIssuer {
		back.Del("iss")
	}
	if p.faults.Deny != "" {
		back.Set("error", p.faults.Deny)
		back.Set("error_description", "as the test wants it")
	} else {
		code := rand.Text()
		p.codes[code] = &grant{nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), person: p.person}
		back.Set("code", code)
	}
	http.Redirect(w, r, p.redirect+"?"+back.Encode(), http.StatusFound)
}

// token swaps a code, once. Source: RFC 6749, 4.1.3 and 5.2; RFC 7636, 4.6.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fail(w, p.faults.Token) {
		return
	}
	if p.faults.Redirect != "" {
		http.Redirect(w, r, p.faults.Redirect, http.StatusTemporaryRedirect)
		return
	}
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	if !p.isClient(r) {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	g := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if g == nil || r.PostForm.Get("grant_type") != "authorization_code" || r.PostForm.Get("redirect_uri") != p.redirect ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		refuse(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	access := rand.Text()
	info := Claims{}
	info.add(g.person)
	info.add(p.more)
	info.add(p.faults.UserClaims)
	p.tokens[access] = info
	a := Claims{"access_token": access, "token_type": "Bearer", "expires_in": 300}
	if !p.faults.NoIDToken {
		now := time.Now()
		c := Claims{
			"iss": p.Issuer, "aud": ClientID, "nonce": g.nonce,
			"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		}
		c.add(g.person)
		c.add(p.faults.Claims)
		a["id_token"] = p.sign(c)
	}
	answer(w, http.StatusOK, a)
}

// isClient checks the client's secret. Source: RFC 6749, 2.3.1.
func (p *Provider) isClient(r *http.Request) bool {
	id, secret, basic := r.BasicAuth()
	way := "client_secret_basic"
	if !basic {
		id, secret, way = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"), "client_secret_post"
	}
	if p.public {
		return id == ClientID && secret == ""
	}
	if len(p.methods) > 0 && !slices.Contains(p.methods, way) {
		return false
	}
	return id == ClientID && subtle.ConstantTimeCompare([]byte(secret), []byte(ClientSecret)) == 1
}

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fail(w, p.faults.UserInfo) {
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	info, known := p.tokens[token]
	if !ok || !known {
		refuse(w, http.StatusUnauthorized, "invalid_token")
		return
	}
	answer(w, http.StatusOK, info)
}

// add puts others in place; nil takes one out.
func (c Claims) add(others Claims) {
	for name, value := range others {
		if value == nil {
			delete(c, name)
			continue
		}
		c[name] = value
	}
}

func or(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

func fail(w http.ResponseWriter, code int) bool {
	if code == 0 {
		return false
	}
	http.Error(w, "the test wants it so", code)
	return true
}

func refuse(w http.ResponseWriter, code int, why string) { answer(w, code, Claims{"error": why}) }

func answer(w http.ResponseWriter, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	w.Write(body) // a client that is gone needs no answer
}
