package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/ctl"
)

// logRequests writes one line per request: info when it succeeded, warn when it
// was refused or invalid, error when it failed. Reads that succeed, among them
// scrapes, are told at debug only. The query string is never written: targets
// and their tokens stand there.
//
// A panic in a handler becomes an answer 500 and an error line with the stack.
func logRequests(logger log.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		a := &answer{ResponseWriter: w}
		r, from := withCaller(r)
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler { //nolint:errorlint,err113 // a panic's value, compared as net/http does
				panic(p)
			}
			if p != nil && a.code == 0 {
				text(a, http.StatusInternalServerError, "internal error: the log has the details")
			}
			line := []any{
				"msg", "request", "method", r.Method, "path", r.URL.EscapedPath(), "code", a.status(),
				"remote", host(r.RemoteAddr),
			}
			if user, _, ok := r.BasicAuth(); ok && from.name == "" && !from.unasked && !unknown[a.status()] {
				from.name = user // where there is no gate, exporter-toolkit has checked it
			}
			if from.name != "" {
				line = append(line, "user", from.name)
			}
			line = append(line, "duration", time.Since(start).Round(time.Microsecond))
			switch {
			case p != nil:
				level.Error(logger).Log(append(line, "stack", string(debug.Stack()), "err", fmt.Sprintf("panic: %v", p))...)
			case a.status() >= http.StatusInternalServerError:
				level.Error(logger).Log(append(line, "err", a.text())...)
			case a.status() >= http.StatusBadRequest:
				level.Warn(logger).Log(append(line, "err", a.text())...)
			case r.Method == http.MethodGet || r.Method == http.MethodHead:
				level.Debug(logger).Log(line...)
			default:
				level.Info(logger).Log(line...)
			}
		}()
		next.ServeHTTP(a, r)
	})
}

// unknown are the answers to those of whom nobody knows who they are.
var unknown = map[int]bool{http.StatusUnauthorized: true, http.StatusTooManyRequests: true, http.StatusServiceUnavailable: true}

func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return address
}

// An answer remembers what was answered, and the beginning of an error's text.
type answer struct {
	http.ResponseWriter
	code int
	body []byte
}

// mostBody bounds how much of an error is kept, to be logged, in bytes.
const mostBody = 4 << 10

func (a *answer) WriteHeader(code int) {
	if a.code == 0 && code >= http.StatusOK {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	if a.code >= http.StatusBadRequest && !strings.HasPrefix(a.Header().Get("Content-Type"), "text/html") { // a page is for people
		a.body = append(a.body, b[:min(len(b), mostBody-len(a.body))]...)
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) status() int {
	if a.code == 0 {
		return http.StatusOK
	}
	return a.code
}

// text is what an error said: the field "error" of our API's answers, or all of
// a plain one, on one line. A page is for people, and says what others wrote.
func (a *answer) text() string {
	if strings.HasPrefix(a.Header().Get("Content-Type"), "text/html") {
		return "told on the page"
	}
	var envelope struct {
		Error string `json:"error"`
	}
	said := string(a.body)
	if err := json.Unmarshal(a.body, &envelope); err == nil && envelope.Error != "" {
		said = envelope.Error
	}
	return ctl.Line(said)
}
