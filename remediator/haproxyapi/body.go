package haproxyapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-project/sluice/edge"
)

const (
	maxBody     = 1 << 20 // bytes
	maxReason   = 300     // characters: it is shown in one line
	maxOverride = 32      // more than there are guards
)

// A body is what an order says beside its path.
type body struct {
	action   edge.Admin
	override []string
	reason   string
}

// readBody reads the body of an order. A content type that isn't JSON is
// refused, as a form of another site's page could send it; none at all is taken.
func readBody(w http.ResponseWriter, r *http.Request) (body, error) {
	if t := r.Header.Get("Content-Type"); t != "" {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != "application/json" {
			return body{}, problem(http.StatusUnsupportedMediaType, badType, cut(t))
		}
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return body{}, problem(http.StatusUnsupportedMediaType, badEncoding, cut(e))
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return body{}, problem(http.StatusRequestEntityTooLarge, bigBody, tooBig.Limit)
	}
	if err != nil {
		return body{}, problem(http.StatusBadRequest, badJSON, oneLine(err.Error()))
	}
	return parseBody(text)
}

// guardName is the form of a guard's name. Which there are is the engine's to know.
var guardName = regexp.MustCompile(`^[a-z][a-z_]{0,31}$`)

// parseBody reads {"action": "drain", "override": ["min_serving"], "reason": "..."}.
// It is stricter than encoding/json, which takes "Action" for action and the last
// of two: what was meant is then a guess.
func parseBody(text []byte) (b body, err error) {
	if !utf8.Valid(text) {
		return b, problem(http.StatusBadRequest, badJSON, "not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); errors.Is(err, io.EOF) {
		return b, problem(http.StatusBadRequest, emptyBody)
	} else if err != nil {
		return b, problem(http.StatusBadRequest, badJSON, oneLine(err.Error()))
	} else if t != json.Delim('{') {
		return b, problem(http.StatusBadRequest, noObject)
	}
	var action string
	into := map[string]any{"action": &action, "override": &b.override, "reason": &b.reason}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return b, problem(http.StatusBadRequest, badJSON, oneLine(err.Error()))
		}
		key, _ := t.(string) // the decoder takes nothing else for a key
		switch {
		case into[key] == nil:
			return b, problem(http.StatusBadRequest, unknownField, cut(key))
		case seen[key]:
			return b, problem(http.StatusBadRequest, fieldTwice, key)
		}
		seen[key] = true
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return b, problem(http.StatusBadRequest, badJSON, oneLine(err.Error()))
		}
		if string(raw) == "null" || json.Unmarshal(raw, into[key]) != nil {
			return b, problem(http.StatusBadRequest, badField, key)
		}
	}
	if _, err := d.Token(); err != nil { // the closing bracket
		return b, problem(http.StatusBadRequest, badJSON, oneLine(err.Error()))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return b, problem(http.StatusBadRequest, moreJSON)
	}
	if !seen["action"] {
		return b, problem(http.StatusBadRequest, noAction)
	}
	if b.action, err = edge.ParseAdmin(action); err != nil {
		return b, problem(http.StatusBadRequest, badAction, cut(action))
	}
	err = b.check()
	return b, err
}

func (b *body) check() error {
	if len(b.override) > maxOverride {
		return problem(http.StatusBadRequest, badField, "override")
	}
	for _, g := range b.override {
		if !guardName.MatchString(g) {
			return problem(http.StatusBadRequest, badGuard, cut(g))
		}
	}
	b.reason = strings.TrimSpace(b.reason)
	switch {
	case utf8.RuneCountInString(b.reason) > maxReason,
		strings.ContainsFunc(b.reason, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }):
		return problem(http.StatusBadRequest, badReason, maxReason)
	case b.reason == "" && len(b.override) > 0:
		return problem(http.StatusBadRequest, noReason)
	}
	return nil
}

// oneLine makes an error's text one line of bounded length.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if r := []rune(s); len(r) > 500 {
		s = string(r[:500]) + "..."
	}
	return s
}
