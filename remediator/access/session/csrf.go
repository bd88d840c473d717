package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/http"
)

// Where a request carries its token: a form in the field, a script in the header.
const (
	Field  = "csrf_token"
	Header = "X-CSRF-Token"
)

// maxForm bounds a form, in bytes.
const maxForm = 64 << 10

// Why a request isn't taken for one that a page of ours sent.
var (
	ErrCrossOrigin = errors.New("this request comes from another site's page")
	ErrToken       = errors.New("the CSRF token is missing or wrong: send it in the field " + Field + " or the header " + Header + "; load the page again when it is old")
	ErrForm        = errors.New("the form can't be read")
)

// CSRF is the token that a form or a script of this request's session sends along
// with what it changes. It is another one each time, as a page may be compressed
// along with what somebody else put in it; each is good as long as the session. A
// request without a session has none, and needs none.
func CSRF(r *http.Request) string {
	e := From(r.Context())
	if e == nil {
		return ""
	}
	return mask(e.secret)
}

// Check says whether a request of a session may do what it asks for: it only
// reads, or a page of ours sent it. The error is [ErrCrossOrigin], [ErrToken] or
// [ErrForm].
func (s *Sessions) Check(r *http.Request, e *Session) error {
	if safe(r.Method) {
		return nil
	}
	if s.cross.Check(r) != nil {
		return ErrCrossOrigin
	}
	sent := r.Header.Get(Header)
	if sent == "" {
		if err := readForm(r); err != nil {
			return err
		}
		sent = r.PostForm.Get(Field)
	}
	if !unmask(sent, e.secret) {
		return ErrToken
	}
	return nil
}

// safe says whether a method changes nothing. Source: RFC 9110, 9.2.1.
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// readForm reads a form, where the body is one. Whoever serves the request finds it
// in [http.Request.PostForm].
func readForm(r *http.Request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil //nolint:nilerr // what has no readable type is no form
	}
	if r.PostForm == nil {
		r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	}
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("%w: %w", ErrForm, err)
	}
	return nil
}

// mask hides a secret behind as many random bytes.
func mask(secret [tokenSize]byte) string {
	b := make([]byte, 2*tokenSize)
	rand.Read(b[:tokenSize]) // never fails, since Go 1.24
	subtle.XORBytes(b[tokenSize:], b[:tokenSize], secret[:])
	return encode(b)
}

// unmask says whether the secret is behind what was sent.
func unmask(sent string, secret [tokenSize]byte) bool {
	b, err := base64.RawURLEncoding.DecodeString(sent)
	if err != nil || len(b) != 2*tokenSize {
		return false
	}
	var found [tokenSize]byte
	subtle.XORBytes(found[:], b[:tokenSize], b[tokenSize:])
	return subtle.ConstantTimeCompare(found[:], secret[:]) == 1
}

// loginToken belongs to the log-in form of one browser, which has no session yet:
// nobody else can make it log in under a name of theirs.
func (s *Sessions) loginToken(cookie string) string {
	h := hmac.New(sha256.New, s.loginKey)
	h.Write([]byte(cookie)) // a hash takes everything
	return encode(h.Sum(nil))
}
