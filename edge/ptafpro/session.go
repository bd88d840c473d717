package ptafpro

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// renewBefore is how long an access token must be valid still to be used.
	// Source: client practice, facts A2.1.
	renewBefore = 30 * time.Second
	// wrongFor is how long a refused password or tenant isn't tried again: a device
	// may lock a user out, and a look every few seconds would see to it.
	wrongFor = time.Minute
	// zeroTenant is the default tenant's id. Source: facts A2.1.
	zeroTenant = "00000000-0000-0000-0000-000000000000"
)

// A session has the tokens. The refresh token can be spent once, so that all who
// need an access token wait for the one that gets it.
type session struct {
	c                *Client
	username         string
	password, static func() (string, error) // one of them
	ldap             bool
	fingerprint      string
	wanted           string // tenant, id or name

	lock chan struct{} // holds what follows; a channel, so that nobody waits longer than its context

	access, refresh string
	expires         time.Time // of access; zero: not known
	tenant          string    // id
	wrong           error     // why the last log-in was refused
	wrongUntil      time.Time
}

func newSession(c *Client, o Options) *session {
	s := &session{
		c: c, username: o.Username, password: o.Password, ldap: o.LDAP, static: o.Token,
		fingerprint: o.Fingerprint, wanted: o.Tenant, lock: make(chan struct{}, 1),
	}
	if s.fingerprint == "" {
		b := make([]byte, 16) // Source: clients use the hex of a UUID
		_, _ = rand.Read(b)   // never fails
		s.fingerprint = hex.EncodeToString(b)
	}
	return s
}

func (s *session) acquire(ctx context.Context) error {
	select {
	case s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a token: %w", ctx.Err())
	}
}

func (s *session) release() { <-s.lock }

// token returns an access token that is valid for a while: the one in hand, or a
// renewed one, or that of a new session.
func (s *session) token(ctx context.Context) (string, error) {
	if s.static != nil {
		return s.given()
	}
	if err := s.acquire(ctx); err != nil {
		return "", err
	}
	defer s.release()
	if s.access != "" && (s.expires.IsZero() || time.Until(s.expires) > renewBefore) {
		return s.access, nil
	}
	if s.refresh != "" {
		err := s.renew(ctx)
		if err == nil {
			return s.access, nil
		}
		if !tokenRefused(err) {
			return "", fmt.Errorf("renew the token: %w", err)
		}
	}
	if err := s.login(ctx); err != nil {
		return "", err
	}
	return s.access, nil
}

// given is the static token, as it is now.
func (s *session) given() (string, error) {
	token, err := s.static()
	switch {
	case err != nil:
		return "", fmt.Errorf("token: %w", err)
	case token == "" || strings.ContainsFunc(token, unprintable):
		return "", errors.New("token: want printable letters without blanks")
	}
	return token, nil
}

// refused notes that a token wasn't accepted, and says whether to try another.
// The first time it is renewed; again, the whole session is given up.
func (s *session) refused(token string, again bool) bool {
	if s.static != nil {
		return false
	}
	s.lock <- struct{}{}
	defer s.release()
	if s.access != token {
		return true // somebody else has a new one already
	}
	s.access = ""
	if again {
		s.refresh = ""
	}
	return true
}

// current is the id of the chosen tenant.
func (s *session) current() string {
	s.lock <- struct{}{}
	defer s.release()
	return cmp.Or(s.tenant, s.wanted)
}

// renew spends the refresh token, which also chooses the tenant.
func (s *session) renew(ctx context.Context) error {
	spent := s.refresh
	// A token that was sent and not answered may be spent or not: it is never
	// sent again. Source: using it again gives 422 with invalid_token.
	s.access, s.refresh = "", ""
	return s.take(ctx, request{
		method: http.MethodPost, path: "/auth/access_tokens", secrets: []string{spent},
		body: map[string]any{"refresh_token": spent, "tenant_id": s.tenant, "fingerprint": s.fingerprint},
	})
}

// login begins a session with the password and chooses the tenant.
func (s *session) login(ctx context.Context) error {
	if s.wrong != nil && time.Now().Before(s.wrongUntil) {
		return s.wrong
	}
	password, err := s.password()
	if err != nil {
		return fmt.Errorf("log in as %s: password: %w", oneLine(s.username), err)
	}
	body := map[string]any{"username": s.username, "password": password, "fingerprint": s.fingerprint}
	if s.ldap {
		body["ldap"] = true // Source: left out unless wanted
	}
	s.wrong = nil
	err = s.take(ctx, request{method: http.MethodPost, path: "/auth/refresh_tokens", secrets: []string{password}, body: body})
	if err != nil {
		err = fmt.Errorf("log in as %s: %w", oneLine(s.username), err)
		if e := (*APIError)(nil); errors.As(err, &e) && (errors.Is(e, ErrCredentials) || errors.Is(e, ErrForbidden) || e.Status == http.StatusUnprocessableEntity) {
			s.wrong, s.wrongUntil = err, time.Now().Add(wrongFor)
		}
		return err
	}
	if s.tenant, err = s.choose(ctx); err == nil {
		err = s.renew(ctx)
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("choose the tenant: %w", err)
	if errors.Is(err, ErrNoTenant) || errors.Is(err, ErrAmbiguous) {
		s.wrong, s.wrongUntil = err, time.Now().Add(wrongFor)
	}
	_ = s.quit(ctx) // a session of no tenant that anybody asked for; the first error counts
	return err
}

// take makes a call that answers with a new pair of tokens.
func (s *session) take(ctx context.Context, q request) error {
	raw, err := s.c.do(ctx, q)
	if err != nil {
		return err
	}
	var pair struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(raw, &pair); err != nil {
		return fmt.Errorf("%s %s: %w", q.method, q.path, notJSON(raw))
	}
	if pair.Access == "" || strings.ContainsFunc(pair.Access, unprintable) {
		return fmt.Errorf("%s %s: no access_token in it: %w", q.method, q.path, ErrAnswer) // its words may be tokens: none are shown
	}
	s.access, s.refresh, s.expires = pair.Access, pair.Refresh, expiry(pair.Access)
	return nil
}

// choose finds the id of the wanted tenant.
func (s *session) choose(ctx context.Context) (string, error) {
	raw, err := s.c.do(ctx, request{method: http.MethodGet, path: "/auth/account/tenants", bearer: s.access})
	id := uuid(s.wanted)
	switch {
	case errors.Is(err, ErrForbidden) || errors.Is(err, ErrNotFound): // guess: a user who may not list them
		if id == "" && s.wanted != "" {
			return "", fmt.Errorf("%q: write its id, for the tenants can't be listed: %w", oneLine(s.wanted), err)
		}
		return cmp.Or(id, zeroTenant), nil
	case err != nil:
		return "", err
	}
	list, err := items(raw)
	if err != nil {
		return "", fmt.Errorf("GET /auth/account/tenants: %w", err)
	}
	var found, names []string
	for _, raw := range list {
		f, err := fields(raw)
		if err != nil {
			return "", fmt.Errorf("GET /auth/account/tenants: %w", err)
		}
		switch {
		case f.text("id") == "":
			continue
		case s.wanted == "" && f.answer("is_default").yes(),
			s.wanted != "" && f.text("name") == s.wanted,
			id != "" && uuid(f.text("id")) == id:
			found = append(found, f.text("id"))
		}
		names = append(names, f.text("name"))
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case s.wanted == "":
		return zeroTenant, nil
	case len(found) > 1:
		return "", fmt.Errorf("%q: %w", oneLine(s.wanted), ErrAmbiguous)
	}
	slices.Sort(names)
	return "", fmt.Errorf("%q: %w: there are %s", oneLine(s.wanted), ErrNoTenant, oneLine(strings.Join(names, ", ")))
}

// end logs out. Without a session there is nothing to end.
func (s *session) end(ctx context.Context) error {
	if s.static != nil {
		return nil
	}
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	return s.quit(ctx)
}

func (s *session) quit(ctx context.Context) error {
	access, refresh := s.access, s.refresh
	s.access, s.refresh = "", ""
	if refresh == "" {
		return nil
	}
	// The token is in the path. Source: facts A2.1, one client.
	_, err := s.c.do(ctx, request{
		method: http.MethodDelete, path: "/auth/refresh_tokens/" + url.PathEscape(refresh),
		shown: "/auth/refresh_tokens/...", bearer: access, secrets: []string{refresh},
	})
	if tokenRefused(err) || errors.Is(err, ErrNotFound) {
		return nil // it has ended already
	}
	return err
}

// uuid is the plain form of an id, or empty when the text is none.
func uuid(s string) string {
	plain := strings.ToLower(strings.ReplaceAll(s, "-", ""))
	if b, err := hex.DecodeString(plain); err != nil || len(b) != 16 {
		return ""
	}
	return plain[:8] + "-" + plain[8:12] + "-" + plain[12:16] + "-" + plain[16:20] + "-" + plain[20:]
}

// expiry reads when a JWT ends, without verifying it: who issued it is told by
// TLS, and the device judges it anyway. Zero when the token doesn't tell.
func expiry(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Exp float64 `json:"exp"` // seconds
	}
	if json.Unmarshal(raw, &claims) != nil || claims.Exp <= 0 || claims.Exp > 1e11 {
		return time.Time{}
	}
	return time.UnixMilli(int64(claims.Exp * 1000))
}
