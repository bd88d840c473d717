package access

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// A state is a configuration with its files read, ready to judge requests. It is
// never changed, but swapped as a whole.
type state struct {
	config  *Config
	proxies []netip.Prefix // that are believed
	users   map[string]*user
	tokens  []*token
	dummy   string // hash for those who have none, as slow as the slowest of them, and fits nothing
}

// hashPrefix is how long version, cost and salt are together, in "$2y$10$" and 22
// characters of salt, before the digest of 31.
const hashPrefix = 29

// A sum stands for a secret: SHA-256, so that the secret itself isn't kept in
// memory, and all are of one length. That is enough for tokens that were made by
// chance; passwords have bcrypt.
type sum [sha256.Size]byte

func sumOf(secret string) sum { return sha256.Sum256([]byte(secret)) }

type user struct {
	identity Identity
	hash     string // bcrypt; empty: no password
}

type token struct {
	sum      sum
	name     string
	owner    string // whose it is, for metrics
	identity Identity
	expires  time.Time // zero: never
	made     time.Time // of its file; zero: it has none
	weak     bool      // so short that it could be guessed
	nameless bool      // the journal gets the address
}

func newState(c *Config) (*state, error) {
	s := &state{config: c, users: map[string]*user{}}
	for _, text := range c.Proxies {
		p, err := proxy(text)
		if err != nil {
			return nil, fmt.Errorf("proxies: %w", err)
		}
		s.proxies = append(s.proxies, p)
	}
	if c.secret != "" {
		i, err := Named("", ViaToken, []string{Admin})
		if err != nil {
			return nil, err
		}
		s.tokens = append(s.tokens, &token{sum: sumOf(c.secret), identity: i, nameless: true, weak: len(c.secret) < leastToken})
	}
	for _, u := range c.Users {
		i, err := Named(u.Name, ViaPassword, u.Roles, c.Roles...)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", u.Name, err)
		}
		hash, err := u.hash()
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", u.Name, err)
		}
		s.users[u.Name] = &user{i, hash}
		s.dummy = slower(s.dummy, hash)
	}
	if s.dummy != "" { // no password has this digest, but for one that nobody finds
		s.dummy = s.dummy[:hashPrefix] + strings.Repeat(".", len(s.dummy)-hashPrefix)
	}
	for _, t := range c.Tokens {
		if err := s.addToken(t); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *state) addToken(t Token) error {
	read, err := t.read()
	if err != nil {
		return fmt.Errorf("token %s: %w", t.Name, err)
	}
	one := &token{sum: read.sum, name: t.Name, owner: t.Name, expires: t.Expires, made: read.made}
	if t.User != "" {
		one.owner = t.User
		one.identity = s.users[t.User].identity
		one.identity.Via = ViaToken
	} else if one.identity, err = Named(t.Name, ViaToken, t.Roles, s.config.Roles...); err != nil {
		return fmt.Errorf("token %s: %w", t.Name, err)
	}
	if other := s.token(read.sum); other != nil {
		return fmt.Errorf("token %s: is the same as token %s: make another", t.Name, other.name)
	}
	s.tokens = append(s.tokens, one)
	return nil
}

// token returns the one with the sum, or nil. It looks at all of them, whatever it
// finds, and so takes as long for each.
func (s *state) token(of sum) (found *token) {
	for _, t := range s.tokens {
		if subtle.ConstantTimeCompare(t.sum[:], of[:]) == 1 {
			found = t
		}
	}
	return found
}

type readToken struct {
	sum  sum
	made time.Time
}

func (t *Token) read() (out readToken, err error) {
	if t.TokenHash != "" {
		if n, err := hex.Decode(out.sum[:], []byte(t.TokenHash)); err != nil || n != len(out.sum) {
			return out, errors.New("token_hash: want the SHA-256 of the token, 64 hexadecimal digits")
		}
		return out, nil
	}
	text, made, err := firstLine(t.TokenFile)
	switch {
	case err != nil:
		return out, err
	case len(text) < leastToken || len(text) > mostToken:
		return out, fmt.Errorf("%s: the token has %d characters: want %d to %d, as openssl rand -base64 32 makes it", t.TokenFile, len(text), leastToken, mostToken)
	case strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }):
		return out, fmt.Errorf("%s: the token has a blank or a character that no header can carry: use visible ASCII characters", t.TokenFile)
	}
	return readToken{sumOf(text), made}, nil
}

func (u *User) hash() (string, error) {
	if u.PasswordHashFile == "" {
		return u.PasswordHash, nil
	}
	text, _, err := firstLine(u.PasswordHashFile)
	if err == nil {
		err = checkHash(text)
		if err != nil {
			err = fmt.Errorf("%s: %w", u.PasswordHashFile, err)
		}
	}
	return text, err
}

// firstLine reads a file of one line. What else stands in it is a mistake: it may
// be a second secret, which would silently not count.
func firstLine(path string) (text string, made time.Time, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", made, err
	case !info.Mode().IsRegular(): // a pipe would make us wait
		return "", made, fmt.Errorf("%s: not a file", path)
	case info.Size() > 2*mostToken:
		return "", made, fmt.Errorf("%s: is too large for one secret", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", made, err
	}
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	switch line = bytes.TrimSpace(line); {
	case len(bytes.TrimSpace(rest)) > 0:
		return "", made, fmt.Errorf("%s: has more than one line: keep one secret in it", path)
	case len(line) == 0:
		return "", made, fmt.Errorf("%s: is empty", path)
	}
	return string(line), info.ModTime(), nil
}

// over says whether the token has expired.
func (t *token) over(now time.Time) bool { return !t.expires.IsZero() && !now.Before(t.expires) }

// oldest is when the oldest file of each owner's tokens was made, as they are in
// force, of those that are still good.
func (s *state) oldest(now time.Time) map[string]time.Time {
	out := map[string]time.Time{}
	for _, t := range s.tokens {
		if t.made.IsZero() || t.over(now) {
			continue
		}
		if first, ok := out[t.owner]; !ok || t.made.Before(first) {
			out[t.owner] = t.made
		}
	}
	return out
}

// identity makes one of roles, without those that there are no more.
func (s *state) identity(name, via string, roles []string) Identity {
	i := Identity{Name: name, Via: via}
	for _, role := range roles {
		if g, err := grantOf(role, s.config.Roles); err == nil && !slices.Contains(i.Roles, role) {
			i.Roles, i.grants = append(i.Roles, role), append(i.grants, g)
		}
	}
	return i
}

// slower is the hash of the two that takes longer to check.
func slower(a, b string) string {
	costOf := func(hash string) int {
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil {
			return 0 // there is none
		}
		return cost
	}
	if costOf(b) > costOf(a) {
		return b
	}
	return a
}
