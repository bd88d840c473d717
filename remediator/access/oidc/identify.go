package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sluice-project/sluice/remediator/access/session"
)

// maxName bounds a name, in bytes.
const maxName = 128

// Why nobody is logged in. Errors of no such kind are ours.
var (
	errNone    = errors.New("there is no provider in the configuration")
	errAway    = errors.New("the provider can't be asked")
	errBusy    = errors.New("too many log-ins at once")
	errStale   = errors.New("no log-in that was begun here belongs to this answer")
	errDenied  = errors.New("the provider refuses")
	errInvalid = errors.New("the provider's answer is not valid")
	errNoRole  = errors.New("none of the groups has a role here")
	errName    = errors.New("the name can't be used")
)

// A reason is what people are told of such an error.
type reason struct {
	err    error
	result string // for the metric and the log
	code   int
	text   session.Text
}

var reasons = []reason{
	{errNone, "none", http.StatusNotFound, session.Text{
		EN: "There is no log-in service any more.",
		RU: "Службы входа больше нет.",
	}},
	{errAway, "unreachable", http.StatusBadGateway, session.Text{
		EN: "The log-in service can't be reached, or doesn't answer as it should. Try again; the remediator's log says more.",
		RU: "Служба входа недоступна или отвечает неверно. Попробуйте ещё раз; подробности — в логе ремедиатора.",
	}},
	{errBusy, "busy", http.StatusServiceUnavailable, session.Text{
		EN: "Too many people log in at once. Try again.",
		RU: "Слишком много входов одновременно. Попробуйте ещё раз.",
	}},
	{errStale, "stale", http.StatusForbidden, session.Text{
		EN: "This log-in was begun too long ago or in another browser, or the browser keeps no cookies. Try again.",
		RU: "Этот вход начат слишком давно или в другом браузере, или браузер не сохраняет cookie. Попробуйте ещё раз.",
	}},
	{errDenied, "denied", http.StatusForbidden, session.Text{
		EN: "The log-in service refused. Try again, or ask whoever runs it.",
		RU: "Служба входа отказала. Попробуйте ещё раз или обратитесь к её администратору.",
	}},
	{errInvalid, "invalid", http.StatusForbidden, session.Text{
		EN: "The log-in service's answer is not valid, and nobody was logged in. The remediator's log says why.",
		RU: "Ответ службы входа недействителен, вход не выполнен. Причина — в логе ремедиатора.",
	}},
	{errNoRole, "no_role", http.StatusForbidden, session.Text{
		EN: "The log-in service knows you, but none of your groups has a role here. Ask whoever runs Sluice.",
		RU: "Служба входа вас знает, но ни у одной из ваших групп нет роли здесь. Обратитесь к администратору Sluice.",
	}},
	{errName, "name", http.StatusForbidden, session.Text{
		EN: "The log-in service knows you by a name that can't be used here. Ask whoever runs Sluice.",
		RU: "Служба входа знает вас под именем, которое здесь использовать нельзя. Обратитесь к администратору Sluice.",
	}},
}

// Results are all that [Options.Done] may hear.
func Results() []string {
	all := []string{"ok", "error"}
	for _, r := range reasons {
		all = append(all, r.result)
	}
	return all
}

func reasonOf(err error) reason {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r
		}
	}
	return reason{err, "error", http.StatusServiceUnavailable, session.Text{
		EN: "Nobody can be logged in just now: the remediator's log says why.",
		RU: "Сейчас войти нельзя: причина указана в логе ремедиатора.",
	}}
}

// identify swaps the code for an ID token and reads from it who somebody is.
// Source of the checks: OpenID Connect Core 1.0, 3.1.3.7.
func (p *provider) identify(ctx context.Context, answer url.Values, fl flight) (who session.Who, err error) {
	ctx = oidc.ClientContext(ctx, p.client)
	m, err := p.discover(ctx)
	if err != nil {
		return who, fmt.Errorf("%w: %w", errAway, err)
	}
	if m.signs && !answer.Has("iss") { // Source: RFC 9207, 2.4
		return who, fmt.Errorf("%w: it doesn't say from which issuer it comes, which this one always does", errInvalid)
	}
	oauth, err := p.oauth(m)
	if err != nil {
		return who, err
	}
	token, err := oauth.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(fl.Verifier))
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < http.StatusInternalServerError {
			return who, fmt.Errorf("%w: swap the code: %w", errInvalid, err)
		}
		return who, fmt.Errorf("%w: swap the code: %w", errAway, err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return who, fmt.Errorf("%w: there is no ID token", errInvalid)
	}
	id, err := m.verifier.Verify(ctx, raw)
	if err != nil {
		return who, fmt.Errorf("%w: %w", errInvalid, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(fl.Nonce)) != 1 {
		return who, fmt.Errorf("%w: the ID token has another nonce", errInvalid)
	}
	if ahead := time.Until(id.IssuedAt); ahead > time.Duration(p.c.ClockSkew) {
		return who, fmt.Errorf("%w: the ID token was issued %s from now: is a clock wrong?", errInvalid, ahead.Round(time.Second))
	}
	said := claims{}
	if err := id.Claims(&said); err != nil {
		return who, fmt.Errorf("%w: %w", errInvalid, err)
	}
	if azp, has := said["azp"]; (has || len(id.Audience) > 1) && azp != p.c.ClientID {
		return who, fmt.Errorf("%w: the ID token was made for another client", errInvalid)
	}
	if id.Subject == "" {
		return who, fmt.Errorf("%w: the ID token has no subject", errInvalid)
	}
	if !said.has(p.c.NameClaim) || !said.has(p.c.RolesClaim) {
		// Some tell the groups only when they are asked for them.
		if err := p.more(ctx, m, token, id.Subject, said); err != nil {
			return who, err
		}
	}
	return p.c.who(said)
}

// more adds what the provider says of somebody besides the ID token, which is
// believed before it.
func (p *provider) more(ctx context.Context, m *metadata, token *oauth2.Token, subject string, said claims) error {
	if m.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := m.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return fmt.Errorf("%w: user info: %w", errAway, err)
	}
	// Source: OpenID Connect Core 1.0, 5.3.2.
	if info.Subject != subject {
		return fmt.Errorf("%w: the user info is about somebody else", errInvalid)
	}
	others := claims{}
	if err := info.Claims(&others); err != nil {
		return fmt.Errorf("%w: user info: %w", errInvalid, err)
	}
	for name, value := range others {
		if _, has := said[name]; !has {
			said[name] = value
		}
	}
	return nil
}

// claims are what the provider says of somebody.
type claims map[string]any

// UnmarshalJSON refuses what is no object.
func (c *claims) UnmarshalJSON(text []byte) error {
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	*c = m
	return nil
}

// at returns a claim; "a.b" is that of this name or else b inside a.
func (c claims) at(path string) any {
	if v, has := c[path]; has {
		return v
	}
	outer, inner, ok := strings.Cut(path, ".")
	if !ok {
		return nil
	}
	m, ok := c[outer].(map[string]any)
	if !ok {
		return nil
	}
	return claims(m).at(inner)
}

func (c claims) has(path string) bool { return c.at(path) != nil }

// who reads name and roles.
func (c *Config) who(said claims) (session.Who, error) {
	name, _ := said.at(c.NameClaim).(string)
	switch {
	case name == "":
		return session.Who{}, fmt.Errorf("%w: the claim %s is missing or no text: see name_claim and scopes", errName, c.NameClaim)
	case len(name) > maxName || strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return session.Who{}, fmt.Errorf("%w: %.150q is no name", errName, name)
	case c.NameClaim == "email" && unverified(said["email_verified"]):
		return session.Who{}, fmt.Errorf("%w: nobody has verified the address %q", errName, name)
	}
	groups, err := groupsOf(said.at(c.RolesClaim))
	if err != nil {
		return session.Who{}, fmt.Errorf("%w: claim %s: %w", errInvalid, c.RolesClaim, err)
	}
	roles := map[string]bool{}
	for _, g := range groups {
		for _, r := range c.Roles[g] {
			roles[r] = true
		}
	}
	if len(roles) == 0 {
		return session.Who{}, fmt.Errorf("%w: %q is in %d groups by the claim %s", errNoRole, name, len(groups), c.RolesClaim)
	}
	return session.Who{Name: name, Via: Via, Roles: slices.Sorted(maps.Keys(roles)), Stamp: c.stamp()}, nil
}

// unverified says whether the provider says so. Some write the word as a text.
func unverified(v any) bool { return v == false || v == "false" }

// groupsOf reads a list of names, or a single one.
func groupsOf(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		var all []string
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("want names, not %T", e)
			}
			all = append(all, s)
		}
		return all, nil
	default:
		return nil, fmt.Errorf("want a list of names, not %T", v)
	}
}
