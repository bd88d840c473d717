package session

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-kit/log/level"
)

// The paths that need no log-in, without prefix.
const (
	Login  = "/console/login"
	Logout = "/console/logout"
)

// ErrWrong says that name and password don't fit. It never says which of them.
var ErrWrong = errors.New("wrong name or password")

// A LockedError says that too many log-ins failed.
type LockedError struct {
	For time.Duration // until the next is looked at; 0: unknown
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("too many failed log-ins: locked for %s", e.For)
}

const (
	maxName     = 128  // of a user's name, in bytes
	maxPassword = 1024 // in bytes
	// formTime is how long a log-in form is good, in seconds: as long as a tab is left
	// open over night.
	formTime = 24 * 60 * 60
)

//go:embed login.html
var pageText string

var pageTemplate = template.Must(template.New("login").Parse(pageText))

// policy lets the page have its own style, by its hash, and send its form to us;
// nothing else, and no script.
var policy = func() string {
	_, rest, _ := strings.Cut(pageText, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}()

// A page is what the log-in page shows.
type page struct {
	Lang, Base, Home   string
	Title, Intro       string
	Problem            string
	Password           bool   // whether the form is shown
	Token, Next        string // in it
	Field              string
	Name               string // that was typed in
	Provider           string // text of the link to it; empty: none
	Link               string
	NameIs, PasswordIs string // labels
	Enter              string
	Again              string // text of the link to the console, for who is logged in
}

// Handler serves [Login] and [Logout]. It stands without the route prefix, and
// where nobody has to be logged in.
func (s *Sessions) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Login, s.form)
	mux.HandleFunc("POST "+Login, s.login)
	mux.HandleFunc("POST "+Logout, s.logout)
	return mux
}

// Ask sends a browser that asked for a page to the log-in, and from there back.
func (s *Sessions) Ask(w http.ResponseWriter, r *http.Request) {
	to := s.o.External + Login
	// What the browser asked for, whatever prefix a handler before us took off.
	if p, ok := strings.CutPrefix(r.RequestURI, s.o.Route+"/"); ok && r.Method == http.MethodGet {
		if n := next(s.o.External, s.o.External+"/"+p); n != s.o.External+Home {
			to += "?next=" + template.URLQueryEscaper(n)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// Next is where a log-in leads that was begun with this wish.
func (s *Sessions) Next(wanted string) string { return next(s.o.External, wanted) }

// Problem shows the log-in page with what went wrong. Wanted is where the log-in was to
// lead; empty: to the console.
func (s *Sessions) Problem(w http.ResponseWriter, r *http.Request, code int, why Text, wanted string) {
	s.show(w, r, code, why.in(languageOf(r)), "", wanted)
}

func (s *Sessions) form(w http.ResponseWriter, r *http.Request) {
	wanted := r.URL.Query().Get("next")
	if _, ok := s.Of(r); ok {
		s.leave(w, r, next(s.o.External, wanted))
		return
	}
	s.show(w, r, http.StatusOK, "", "", wanted)
}

func (s *Sessions) login(w http.ResponseWriter, r *http.Request) {
	l := languageOf(r)
	refuse := func(code int, why string) { s.show(w, r, code, why, r.PostForm.Get("name"), r.PostForm.Get("next")) }
	if err := readForm(r); err != nil || r.PostForm == nil {
		refuse(http.StatusBadRequest, badForm.in(l))
		return
	}
	if s.cross.Check(r) != nil {
		refuse(http.StatusForbidden, crossOrigin.in(l))
		return
	}
	cookie := s.value(r, loginCookie)
	if cookie == "" || !hmac.Equal([]byte(r.PostForm.Get(Field)), []byte(s.loginToken(cookie))) {
		refuse(http.StatusForbidden, oldForm.in(l))
		return
	}
	if s.o.Password == nil || !s.usable() {
		refuse(http.StatusForbidden, noPassword.in(l))
		return
	}
	name, password := r.PostForm.Get("name"), r.PostForm.Get("password")
	if name == "" || password == "" {
		refuse(http.StatusBadRequest, empty.in(l))
		return
	}
	err := ErrWrong
	var who Who
	if len(name) <= maxName && len(password) <= maxPassword && utf8.ValidString(name) {
		who, err = s.o.Password(r, name, password)
	}
	var locked *LockedError
	switch {
	case errors.As(err, &locked):
		s.failed(r, "locked")
		if locked.For > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((locked.For+time.Second-1)/time.Second)))
		}
		refuse(http.StatusTooManyRequests, lockedOut.in(l))
	case errors.Is(err, ErrWrong):
		s.failed(r, "wrong")
		// Not 401: that would have to name a scheme, and a browser would show a form of
		// its own. Source: RFC 9110, 15.5.2 and 15.5.4.
		refuse(http.StatusForbidden, wrong.in(l))
	case err != nil:
		level.Error(s.o.Logger).Log("msg", "nobody can be logged in", "err", err)
		refuse(http.StatusServiceUnavailable, notNow.in(l))
	default:
		s.Start(w, r, who)
		s.leave(w, r, next(s.o.External, r.PostForm.Get("next")))
	}
}

// failed tells the log, but not the name: now and then somebody types a password there.
func (s *Sessions) failed(r *http.Request, result string) {
	level.Warn(s.o.Logger).Log("msg", "nobody logged in", "via", "password", "result", result, "remote", r.RemoteAddr)
}

func (s *Sessions) logout(w http.ResponseWriter, r *http.Request) {
	e, ok := s.Of(r)
	if ok {
		if err := s.Check(r, e); err != nil {
			why := oldForm
			if errors.Is(err, ErrCrossOrigin) {
				why = crossOrigin
			}
			s.Problem(w, r, http.StatusForbidden, why, "")
			return
		}
		s.mu.Lock()
		if s.all[e.key] == e {
			s.end(e)
		}
		s.mu.Unlock()
		level.Info(s.o.Logger).Log("msg", "logged out", "user", e.Who.Name, "via", e.Who.Via, "remote", r.RemoteAddr)
	}
	s.drop(w, r, sessionCookie)
	s.leave(w, r, s.o.External+Login)
}

// leave sends a browser on, to be asked for with GET.
func (s *Sessions) leave(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (s *Sessions) usable() bool { return s.o.Usable == nil || s.o.Usable() }

func (s *Sessions) show(w http.ResponseWriter, r *http.Request, code int, problem, name, wanted string) {
	l := languageOf(r)
	if len(name) > maxName || !utf8.ValidString(name) {
		name = ""
	}
	p := page{
		Lang: string(l), Base: s.o.External, Home: s.o.External + Home, Title: title.in(l), Problem: problem,
		Field: Field, Name: name, Next: next(s.o.External, wanted),
		NameIs: nameLabel.in(l), PasswordIs: passwordLabel.in(l), Enter: enter.in(l),
	}
	if _, ok := s.Of(r); ok {
		p.Again = again.in(l)
	}
	if s.o.Password != nil && s.usable() {
		cookie := s.value(r, loginCookie)
		if cookie == "" {
			id := make([]byte, tokenSize)
			rand.Read(id) // never fails, since Go 1.24
			cookie = encode(id)
		}
		s.set(w, r, loginCookie, cookie, formTime)
		p.Password, p.Token = true, s.loginToken(cookie)
	}
	if s.o.Provider != nil {
		if o := s.o.Provider(); o.Path != "" {
			p.Provider = fmt.Sprintf(withProvider.in(l), o.Name)
			p.Link = s.o.External + o.Path + "?next=" + template.URLQueryEscaper(p.Next)
		}
	}
	if !p.Password && p.Provider == "" {
		p.Intro = nobody.in(l)
	}
	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, p); err != nil {
		level.Error(s.o.Logger).Log("msg", "log-in page can't be made", "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(l))
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: with that, browsers send forms with the origin "null".
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language, Cookie")
	w.WriteHeader(code)
	w.Write(body.Bytes()) // a browser that is gone needs no page
}
