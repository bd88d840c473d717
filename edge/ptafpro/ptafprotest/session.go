package ptafprotest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A login is one session: it has one refresh token that is good, and all that
// were spent.
type login struct {
	fingerprint string
	refresh     string // empty once it has ended
}

// A pass is an access token: whose session, which tenant, until when.
type pass struct {
	login  *login // nil for the static token
	tenant string
	until  time.Time
}

// Logins returns how many log-ins were tried.
func (s *Sim) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// Renewals returns how many times a refresh token was sent to be spent.
func (s *Sim) Renewals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.renewals
}

// Sessions returns how many log-ins have neither been logged out nor revoked.
func (s *Sim) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	alive := map[*login]bool{}
	for _, l := range s.sessions {
		if l.refresh != "" {
			alive[l] = true
		}
	}
	return len(alive)
}

// Tokens returns all tokens that were ever given out, to look for where they must not be.
func (s *Sim) Tokens() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.sessions {
		all = append(all, t)
	}
	for t := range s.access {
		all = append(all, t)
	}
	return all
}

// Expire makes all access tokens expire now, whatever they say of themselves.
func (s *Sim) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.access {
		p.until = time.Time{}
	}
}

// Revoke ends all sessions, as a restart of the device may.
func (s *Sim) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.sessions {
		l.refresh = ""
	}
}

// tokenCall answers the two calls that give out tokens; both need none.
func (s *Sim) tokenCall(q query, path string) answer {
	if q.Method != http.MethodPost {
		return s.refuse(http.StatusMethodNotAllowed, "method not allowed")
	}
	var in struct {
		Username, Password, Fingerprint string
		Refresh                         string `json:"refresh_token"`
		Tenant                          string `json:"tenant_id"`
	}
	if json.Unmarshal(q.body, &in) != nil {
		return s.refuse(http.StatusBadRequest, "body: not JSON")
	}
	if path == "auth/refresh_tokens" {
		return s.begin(in.Username, in.Password, in.Fingerprint)
	}
	return s.renew(q, in.Refresh, in.Tenant, in.Fingerprint)
}

// begin is a log-in. Source: 201 and a pair; 422 with incorrect_credentials.
func (s *Sim) begin(username, password, fingerprint string) answer {
	s.logins++
	right := subtle.ConstantTimeCompare([]byte(username), []byte(s.o.Username)) == 1 &&
		subtle.ConstantTimeCompare([]byte(password), []byte(s.o.Password)) == 1
	switch {
	case fingerprint == "": // guess: that it is asked for
		return s.refuse(http.StatusUnprocessableEntity, "fingerprint: required")
	case !right:
		return s.refuse(http.StatusUnprocessableEntity, "incorrect_credentials")
	}
	// Guess: before a tenant is chosen, the token is for the default one.
	return s.pair(&login{fingerprint: fingerprint}, s.tenantID(""))
}

// renew spends a refresh token. Source: the old one is spent; using it again
// gives 422 with invalid_token.
func (s *Sim) renew(q query, refresh, tenant, fingerprint string) answer {
	s.renewals++
	l := s.sessions[refresh]
	if l != nil && s.hit(q, SpentRefresh) {
		l.refresh = ""
	}
	switch {
	case l == nil || l.fingerprint != fingerprint:
		return s.refuse(http.StatusUnprocessableEntity, "invalid_token")
	case l.refresh != refresh:
		l.refresh = "" // guess: a token that was used twice ends the session, for one of the two was a thief
		return s.refuse(http.StatusUnprocessableEntity, "invalid_token")
	case !slices.ContainsFunc(s.tenants, func(t Tenant) bool { return t.ID == tenant }):
		return s.refuse(http.StatusNotFound, "reference_not_exist") // guess
	}
	return s.pair(l, tenant)
}

// pair gives out new tokens. Older access tokens of the session stay good until
// they expire (guess).
func (s *Sim) pair(l *login, tenant string) answer {
	s.tokens++
	l.refresh = fmt.Sprintf("not-a-real-refresh-token-%d", s.tokens)
	s.sessions[l.refresh] = l
	until := time.Now().Add(s.o.Lifetime)
	access := s.jwt(tenant, until)
	s.access[access] = &pass{l, tenant, until}
	return answer{http.StatusCreated, "application/json", object{
		{"access_token", encode(access)}, {"refresh_token", encode(l.refresh)},
	}.encode()}
}

// jwt makes a token as the device's are, but for the key. Source: ES256 and these
// claims were seen; HS256 with a key that is none is ours.
func (s *Sim) jwt(tenant string, until time.Time) string {
	part := base64.RawURLEncoding.EncodeToString
	now := time.Now()
	head := part(encode(map[string]any{"alg": "HS256", "typ": "JWT"}))
	body := part(encode(map[string]any{
		"exp": until.Unix(), "iat": now.Unix(), "jti": uuid("7", s.tokens), "life_time": int(s.o.Lifetime.Seconds()),
		"user": map[string]any{
			"id": uuid("6", 0), "username": s.o.Username, "email": "sluice@example.com", "tenant_id": tenant,
			"permissions": []string{"configuration.backends.list", "configuration.backends.update"},
		},
	}))
	mac := hmac.New(sha256.New, []byte("not-a-real-key"))
	mac.Write([]byte(head + "." + body))
	return head + "." + body + "." + part(mac.Sum(nil))
}

// passOf finds what the caller's token stands for; nil when it isn't good.
func (s *Sim) passOf(q query) *pass {
	token, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil
	}
	if s.o.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(s.o.Token)) == 1 {
		return &pass{tenant: s.tenantID(s.o.TokenTenant)}
	}
	p := s.access[token]
	if p == nil {
		return nil
	}
	if !q.auth && s.hit(q, ExpiredToken) {
		p.until = time.Time{}
	}
	if p.login.refresh == "" || !time.Now().Before(p.until) { // guess: the end of a session ends its access tokens too
		return nil
	}
	return p
}

// end is a log-out: DELETE with the token in the path.
func (s *Sim) end(q query, path string) answer {
	token, ok := strings.CutPrefix(path, "auth/refresh_tokens/")
	if !ok || q.Method != http.MethodDelete {
		return s.refuse(http.StatusNotFound, "reference_not_exist")
	}
	l := s.sessions[token]
	if l == nil || l.refresh != token {
		return s.refuse(http.StatusNotFound, "reference_not_exist") // guess
	}
	l.refresh = ""
	return answer{status: http.StatusNoContent} // guess
}

// tenantID finds a tenant by its id or name; empty means the default one.
func (s *Sim) tenantID(nameOrID string) string {
	for _, t := range s.tenants {
		if t.ID == nameOrID || t.Name == nameOrID && nameOrID != "" || nameOrID == "" && t.Default {
			return t.ID
		}
	}
	if nameOrID == "" {
		return DefaultTenant
	}
	panic("ptafprotest: no tenant " + nameOrID)
}

func (s *Sim) tenantFields() (out []object) {
	for _, t := range s.tenants {
		out = append(out, object{
			{"id", encode(t.ID)},
			{"name", encode(t.Name)},
			{"description", encode("")},
			{"is_default", encode(t.Default)},
			{"is_active", encode(true)},
		})
	}
	return out
}
