package access

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// Code is the status of an answer to somebody who isn't let in, or may not.
func Code(err error) int {
	locked, forbidden := (*LockedError)(nil), (*ForbiddenError)(nil)
	switch {
	case errors.As(err, &locked):
		return http.StatusTooManyRequests
	case errors.As(err, &forbidden), errors.Is(err, ErrForged):
		return http.StatusForbidden
	case errors.Is(err, ErrMissing), errors.Is(err, ErrWrong), errors.Is(err, ErrExpired), errors.Is(err, ErrHeader):
		return http.StatusUnauthorized
	}
	return http.StatusServiceUnavailable // of us, or too much at once
}

func (g *Gate) deny(w http.ResponseWriter, r *http.Request, err error) {
	code := Code(err)
	if code == http.StatusUnauthorized && g.source != nil && r.Header.Get("Authorization") == "" && wantsPage(r) {
		g.source.Ask(w, r)
		return
	}
	g.headers(w, r, err)
	if g.o.Deny != nil {
		g.o.Deny(w, r, err)
		return
	}
	Refuse(w, err)
}

// wantsPage says whether somebody looks at the answer in a browser, also that of a form
// which they filled in for longer than their session lasted.
func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodPost) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (g *Gate) headers(w http.ResponseWriter, r *http.Request, err error) {
	h := w.Header()
	switch locked := (*LockedError)(nil); {
	case errors.As(err, &locked):
		h.Set("Retry-After", strconv.Itoa(int(roundUp(locked.For)/time.Second)))
	case Code(err) == http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	case Code(err) == http.StatusUnauthorized:
		s := g.state.Load()
		if s == nil || len(s.tokens) > 0 {
			h.Add("WWW-Authenticate", `Bearer realm="sluice"`)
		}
		// A browser asks for the password by itself when it sees Basic: not for what a
		// script of the console fetches.
		script := g.source != nil && r.Header.Get("Sec-Fetch-Mode") != "" && r.Header.Get("Sec-Fetch-Mode") != "navigate"
		if s != nil && s.dummy != "" && !script {
			h.Add("WWW-Authenticate", `Basic realm="sluice", charset="UTF-8"`)
		}
		if h.Get("WWW-Authenticate") == "" { // 401 has to name a scheme (RFC 9110, 15.5.2)
			h.Set("WWW-Authenticate", `Bearer realm="sluice"`)
		}
	}
}

// Refuse answers with the error, as the rest of our API does.
func Refuse(w http.ResponseWriter, err error) {
	text := strings.Join(strings.Fields(err.Error()), " ")
	body, _ := json.Marshal(struct { // texts and numbers can be written
		Success    bool   `json:"success"`
		StatusCode int    `json:"status_code"`
		Error      string `json:"error"`
	}{false, Code(err), text})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(Code(err))
	w.Write(append(body, '\n')) // a caller that is gone needs no answer
}

// Require lets through only who may do v to everything.
func Require(v Verb, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := From(r.Context()).Check(v, edge.Pool{}); err != nil {
			Refuse(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// RequireSomewhere lets through who may do v to something: next shows no more.
func RequireSomewhere(v Verb, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := From(r.Context()).CheckSomewhere(v); err != nil {
			Refuse(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}
