package main

// The folders of the console's log-in.
const (
	sessionDir = "remediator/access/session"
	oidcDir    = "remediator/access/oidc"
	loginDir   = "remediator/access/login"
)

// loginEdits are made in what keeps people out who didn't log in, and pages of others
// from giving orders in the name of those who did.
var loginEdits = []edit{
	{ids: "I22", what: "a session goes on after its idle time", dir: sessionDir, texts: one("idle, last := e.seen.Add(time.Duration(s.config.Idle)),", "idle, last := e.seen.Add(1000*time.Hour),")},
	{ids: "I22", what: "a session lives as long as it is used", dir: sessionDir, texts: one("	if last.Before(idle) {\n", "	if false {\n")},
	{ids: "I22", what: "a log-in keeps the session before", dir: sessionDir, texts: one("	if old, ok := s.all[s.carried(r)]; ok {\n", "	if old, ok := s.all[s.carried(r)]; ok && false {\n")},
	{ids: "I22", what: "any number of sessions", dir: sessionDir, texts: one("	for len(s.all) >= s.config.Max {\n", "	for false {\n")},
	{ids: "I22", what: "one user's sessions push out others'", dir: sessionDir, texts: one("n >= s.config.MaxUser", "false && n >= s.config.MaxUser")},
	{ids: "I22", what: "a stream goes on after the log-out", dir: sessionDir, texts: one("		case <-e.done:\n			cancel()\n", "		case <-e.done:\n")},
	{ids: "I22", what: "of two cookies one is believed", dir: sessionDir, texts: one("	if len(all) != 1 {\n", "	if len(all) == 0 {\n")},
	{ids: "I22", what: "a script reads the cookie", dir: sessionDir, texts: one("HttpOnly: true, ", "")},
	{ids: "I22", what: "a cookie for TLS goes out in plain", dir: sessionDir, texts: one("Secure: s.secure(r), ", "")},
	{ids: "I22", what: "the memory holds what the cookie does", dir: sessionDir, texts: one("func hashed(text string) key { return sha256.Sum256([]byte(text)) }", "func hashed(text string) (k key) {\n	copy(k[:], sha256.New().Sum([]byte(text)))\n	return k\n}")},
	{ids: "I22", what: "a session needs no CSRF token", dir: sessionDir, texts: one("	if !unmask(sent, e.secret) {\n", "	if false && !unmask(sent, e.secret) {\n")},
	{ids: "I22", what: "the token in the address counts", dir: sessionDir, texts: one("		sent = r.PostForm.Get(Field)\n", "		sent = r.FormValue(Field)\n")},
	{ids: "I22", what: "another site's page gives orders", dir: sessionDir, texts: one("	if s.cross.Check(r) != nil {\n		return ErrCrossOrigin\n", "	if false {\n		return ErrCrossOrigin\n")},
	{ids: "I22", what: "a log-in form of another browser", dir: sessionDir, texts: one(`	if cookie == "" || !hmac.Equal(`, `	if false && !hmac.Equal(`)},
	{ids: "I22", what: "another site's page logs in", dir: sessionDir, texts: one("	if s.cross.Check(r) != nil {\n		refuse(", "	if false {\n		refuse(")},
	{ids: "I22", what: "a log-in leads to another host", dir: sessionDir, texts: one(` || u.Host != "" || !strings.HasPrefix(wanted, external+"/")`, "")},
	{ids: "I22", what: "a backslash leads to another host", dir: sessionDir, texts: one(` || r == '\\'`, "")},
	{ids: "I22", what: "a log-out needs no token", dir: sessionDir, texts: one("		if err := s.Check(r, e); err != nil {\n", "		if err := s.Check(r, e); err != nil && false {\n")},

	{ids: "I22", what: "any state", dir: oidcDir, texts: one(`	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(fl.State)) != 1 {`, `	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(fl.State)) > 1 {`)},
	{ids: "I22", what: "any nonce", dir: oidcDir, texts: one("	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(fl.Nonce)) != 1 {", "	if false && subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(fl.Nonce)) != 1 {")},
	{ids: "I22", what: "a log-in takes as long as it takes", dir: oidcDir, texts: one("	if time.Since(fl.At) > flightTime {\n", "	if false {\n")},
	{ids: "I22", what: "a log-in of another configuration", dir: oidcDir, texts: one("	if fl.Stamp != p.stamp {\n", "	if false {\n")},
	{ids: "I22", what: "the answer of another issuer", dir: oidcDir, texts: one(`	if q.Has("iss") && `, `	if false && `)},
	{ids: "I22", what: "an answer is good twice", dir: oidcDir, texts: one("	f.o.Sessions.DropCookie(w, r, flightCookie) // good for one answer\n", "")},
	{ids: "I22", what: "no PKCE", dir: oidcDir, texts: one(", oauth2.S256ChallengeOption(fl.Verifier)", "")},
	{ids: "I22", what: "a token of the future", dir: oidcDir, texts: one("ahead > time.Duration(p.c.ClockSkew) {", "ahead > 1000*time.Hour {")},
	{ids: "I22", what: "a token for another client", dir: oidcDir, texts: one("(has || len(id.Audience) > 1) && azp != p.c.ClientID {", "has && azp == nil {")},
	{ids: "I22", what: "user info of somebody else", dir: oidcDir, texts: one("	if info.Subject != subject {\n", "	if false {\n")},
	{ids: "I22", what: "the secret follows a redirect", dir: oidcDir, texts: one("		if r.Method != http.MethodGet || r.URL.Scheme != via[0].URL.Scheme || r.URL.Host != via[0].URL.Host {\n", "		if false {\n")},
	{ids: "I22", what: "keys over plain http", dir: oidcDir, texts: one(` || (u.Scheme != "https" && !strings.HasPrefix(p.c.Issuer, "http:"))`, "")},
	{ids: "I22", what: "an answer of any length", dir: oidcDir, texts: one("		resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)\n", "")},
	{ids: "I22", what: "an address that nobody verified", dir: oidcDir, texts: one(`unverified(said["email_verified"])`, "false")},
	{ids: "I23", what: "two people of one name", dir: oidcDir, texts: one("	if err == nil && f.o.Taken(who.Name) {\n", "	if false {\n")},

	{ids: "I22", what: "a session outlives the user's password and roles", dir: loginDir, texts: one("who.Stamp == l.gate.Stamp(who.Name)", "true")},
	{ids: "I22", what: "a session outlives the provider's configuration", dir: loginDir, texts: one("l.flow.Still(who) && ", "")},
	{ids: "I23", what: "a session outlives that its name is another's", dir: loginDir, texts: one(" && !l.taken(who.Name)", "")},
	{ids: "I22", what: "a request that isn't from our page is let in", dir: loginDir, texts: one("	case err != nil:\n		return nil, fmt.Errorf", "	case err != nil && false:\n		return nil, fmt.Errorf")},
}
