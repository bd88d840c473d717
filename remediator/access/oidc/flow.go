// Package oidc logs people in to the console by an OpenID Connect provider: the
// authorization code flow with PKCE. The provider says who somebody is and in which
// groups; the configuration says which roles a group has here.
//
// Nothing depends on the provider but these log-ins: it is asked when somebody wants
// to log in, and as often as that, until it answers.
package oidc

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"golang.org/x/oauth2"

	coreos "github.com/coreos/go-oidc/v3/oidc"

	"github.com/sluice-project/sluice/remediator/access/session"
)

// The paths of a log-in, without prefix: to the provider, and back.
const (
	Start    = "/console/oidc/start"
	Callback = "/console/oidc/callback"
)

// Via is how somebody proved who they are, as their session says it.
const Via = "oidc"

const (
	flightCookie = "sluice-oidc"
	flightTime   = 10 * time.Minute // for typing a password at the provider
	mostAtOnce   = 16               // log-ins that ask the provider
)

// ErrNoRedirect says that nobody told under which URL a browser reaches us.
var ErrNoRedirect = errors.New("access.oidc: redirect_url is missing: write https://HOST" + Callback + ", or start with --web.external-url")

// Options of [New].
type Options struct {
	Sessions *session.Sessions
	External string                 // --web.external-url; empty where there is none
	Taken    func(name string) bool // whether a user of the configuration has this name
	Logger   log.Logger
	// Done hears how a log-in ended: ok, or one word that says why not. Nil: nobody does.
	Done func(result string)
}

// A Flow logs people in. Its methods may be called from several goroutines.
type Flow struct {
	o    Options
	seal cipher.AEAD
	busy chan struct{}
	now  atomic.Pointer[provider] // nil: there is none
}

// New returns a flow without a provider.
func New(o Options) *Flow {
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	if o.Done == nil {
		o.Done = func(string) {}
	}
	if o.Taken == nil {
		o.Taken = func(string) bool { return false }
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails, since Go 1.24
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key is as long as one is
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // the block is one of AES
	}
	return &Flow{o: o, seal: seal, busy: make(chan struct{}, mostAtOnce)}
}

// Prepare makes a configuration ready; commit puts it in force. Nil: nobody logs in by
// a provider any more. The provider isn't asked yet.
func (f *Flow) Prepare(c *Config) (commit func(), err error) {
	p, err := f.provider(c)
	if err != nil {
		return nil, err
	}
	return func() {
		if old := f.now.Swap(p); old != nil {
			old.client.CloseIdleConnections()
		}
	}, nil
}

func (f *Flow) provider(c *Config) (*provider, error) {
	if c == nil {
		return nil, nil
	}
	redirect := c.RedirectURL
	if redirect == "" && f.o.External != "" {
		redirect = f.o.External + Callback
	}
	if redirect == "" {
		return nil, ErrNoRedirect
	}
	return newProvider(c, redirect)
}

// Provider is the one that people can log in with, for the log-in page.
func (f *Flow) Provider() session.Provider {
	p := f.now.Load()
	if p == nil {
		return session.Provider{}
	}
	return session.Provider{Name: p.c.Title, Path: Start}
}

// Still says whether a session of ours would be the same under the configuration
// that is in force.
func (f *Flow) Still(who session.Who) bool {
	p := f.now.Load()
	return p != nil && who.Stamp == p.stamp
}

// Handler serves [Start] and [Callback]. It stands without the route prefix, and
// where nobody has to be logged in.
func (f *Flow) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Start, f.start)
	mux.HandleFunc("GET "+Callback, f.callback)
	return mux
}

// A flight is somebody who is at the provider. The browser keeps it, sealed: a
// crowd that never comes back takes no place here.
type flight struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Next     string    `json:"x"`
	Stamp    string    `json:"t"`
	At       time.Time `json:"a"`
}

func (f *Flow) start(w http.ResponseWriter, r *http.Request) {
	wanted := r.URL.Query().Get("next")
	p := f.now.Load()
	if p == nil {
		f.refuse(w, r, wanted, errNone)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	m, err := p.discover(ctx)
	if err != nil {
		f.refuse(w, r, wanted, fmt.Errorf("%w: %w", errAway, err))
		return
	}
	oauth, err := p.oauth(m)
	if err != nil {
		f.refuse(w, r, wanted, err)
		return
	}
	fl := flight{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		Next: f.o.Sessions.Next(wanted), Stamp: p.stamp, At: time.Now(),
	}
	text, err := json.Marshal(fl)
	if err != nil {
		f.refuse(w, r, wanted, err)
		return
	}
	sealed := base64.RawURLEncoding.EncodeToString(f.seal.Seal(nil, nil, text, nil))
	f.o.Sessions.SetCookie(w, r, flightCookie, sealed, int(flightTime/time.Second))
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	to := oauth.AuthCodeURL(fl.State, coreos.Nonce(fl.Nonce), oauth2.S256ChallengeOption(fl.Verifier))
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (f *Flow) callback(w http.ResponseWriter, r *http.Request) {
	kept := f.o.Sessions.Cookie(r, flightCookie)
	f.o.Sessions.DropCookie(w, r, flightCookie) // good for one answer
	who, next, err := f.land(r, kept)
	if err != nil {
		f.refuse(w, r, next, err)
		return
	}
	f.o.Sessions.Start(w, r, who)
	f.o.Done("ok")
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// land makes of the provider's answer somebody who is logged in, and says where they
// wanted to go.
func (f *Flow) land(r *http.Request, kept string) (who session.Who, next string, err error) {
	p := f.now.Load()
	if p == nil {
		return who, "", errNone
	}
	fl, err := f.open(kept)
	if err != nil {
		return who, "", err
	}
	q := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(fl.State)) != 1 {
		return who, fl.Next, fmt.Errorf("%w: it has another state", errStale)
	}
	if fl.Stamp != p.stamp {
		return who, fl.Next, fmt.Errorf("%w: the configuration is a new one", errStale)
	}
	// Who answers, where the provider says so. Source: RFC 9207, 2.4.
	if q.Has("iss") && q.Get("iss") != p.c.Issuer {
		return who, fl.Next, fmt.Errorf("%w: it comes from issuer %.100q", errInvalid, q.Get("iss"))
	}
	if q.Has("error") {
		return who, fl.Next, fmt.Errorf("%w: %.100q %.200q", errDenied, q.Get("error"), q.Get("error_description"))
	}
	if q.Get("code") == "" {
		return who, fl.Next, fmt.Errorf("%w: it has no code", errInvalid)
	}
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	default:
		return who, fl.Next, errBusy
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*askTime)
	defer cancel()
	who, err = p.identify(ctx, q, fl)
	if err == nil && f.o.Taken(who.Name) {
		err = fmt.Errorf("%w: %q is a user of the configuration", errName, who.Name)
	}
	return who, fl.Next, err
}

// open reads what the browser kept.
func (f *Flow) open(kept string) (fl flight, err error) {
	if kept == "" {
		return fl, fmt.Errorf("%w: the browser kept nothing of it", errStale)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(kept)
	if err != nil {
		return fl, fmt.Errorf("%w: %w", errStale, err)
	}
	text, err := f.seal.Open(nil, nil, sealed, nil)
	if err != nil {
		return fl, fmt.Errorf("%w: %w", errStale, err)
	}
	if err := json.Unmarshal(text, &fl); err != nil {
		return fl, fmt.Errorf("%w: %w", errStale, err)
	}
	if time.Since(fl.At) > flightTime {
		return fl, fmt.Errorf("%w: it was begun at %s", errStale, fl.At.UTC().Format(time.RFC3339))
	}
	return fl, nil
}

// refuse shows why nobody was logged in, as far as that helps who wanted to; the
// log has the rest.
func (f *Flow) refuse(w http.ResponseWriter, r *http.Request, wanted string, err error) {
	why := reasonOf(err)
	f.o.Done(why.result)
	level.Warn(f.o.Logger).Log("msg", "nobody logged in", "via", Via, "result", why.result, "remote", r.RemoteAddr, "err", brief(err))
	f.o.Sessions.Problem(w, r, why.code, why.text, wanted)
}
