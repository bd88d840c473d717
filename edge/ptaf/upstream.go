package ptaf

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// An Upstream is a pool as GET /upstreams/{id} shows it. Fields that are not
// here are state too: they count in Version, and a write leaves them alone.
// Source: the only full client of 2018 and the script that ran on 3.7.3.
type Upstream struct {
	ID   string // 24 hex digits where it was seen
	Name string

	// LastModified is as given, whatever it is: its format is not known. Empty
	// when it is absent.
	LastModified string

	IPHash, LeastConn, Transparent bool

	Keepalive   int           // idle connections for each worker of its nginx; 0 when absent
	ReadTimeout time.Duration // seconds on the wire; 0 when absent
	Backends    []Backend     // in the order of the object
	Addresses   int           // entries of "addresses", which nobody knows the form of: not to be matched with Backends

	parts map[string]string // see version.go
}

// A Backend is one server of an upstream.
type Backend struct {
	// Name is its identity: "address:port", and "#2", "#3" behind it for those
	// that come again, in their order. Source: backends have no id in any sample.
	Name     string
	Address  string // an IP address without brackets, or a name
	Port     int    // 80 when absent
	Weight   int    // 1 when absent or null
	MaxFails *int   // failed tries after which it doesn't count as working; nil when absent or null: the device's default
	Down     bool   // taken out by hand
	Backup   bool   // gets traffic only when all others are out
}

// ParseUpstream reads an upstream as GET gives it. What takes part in balancing
// must be understood, whole: one backend without an address is an error of all.
// The rest is zero when it isn't what is expected. Errors are [ErrAnswer].
func ParseUpstream(raw []byte) (Upstream, error) {
	if !json.Valid(raw) {
		return Upstream{}, notJSON(raw)
	}
	all, err := fields(raw)
	if err != nil {
		return Upstream{}, err
	}
	u := Upstream{
		ID: text(all.get("id")), Name: text(all.get("name")),
		LastModified: asGiven(all.get("last_modified")),
		Addresses:    length(all.get("addresses")),
	}
	if !isID.MatchString(u.ID) {
		return Upstream{}, fmt.Errorf("%w: an upstream without an id: %q", ErrAnswer, errorText(raw))
	}
	if err := checkName(u.Name); err != nil {
		return Upstream{}, fmt.Errorf("%w: upstream %s: %w", ErrAnswer, u.ID, err)
	}
	u.IPHash, _ = truth(all.get("ip_hash"))
	u.LeastConn, _ = truth(all.get("least_conn"))
	u.Transparent, _ = truth(all.get("transparent"))
	u.Keepalive, _ = whole(all.get("keepalive"))
	if seconds, ok := whole(all.get("read_timeout")); ok && seconds < 1<<31 {
		u.ReadTimeout = time.Duration(seconds) * time.Second
	}
	entries, err := parseList(all.get("backends"))
	if err != nil {
		return Upstream{}, err
	}
	for _, e := range entries {
		u.Backends = append(u.Backends, e.Backend)
	}
	u.parts = parts(all, entries)
	return u, nil
}

// isID is what we put into a path. Source: an id is 24 hex digits; that it is
// never longer or has other letters is a guess, so that some others may be.
var isID = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// checkName refuses what can't be the name of a pool: it goes into labels, logs
// and command lines.
func checkName(s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return fmt.Errorf("%w: it has no name", ErrAnswer)
	case len(s) > 255 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%w: its name %s is too long or can't be printed", ErrAnswer, quote(s))
	}
	return nil
}

// checkAddress refuses what can't be part of an identity.
func checkAddress(s string) error {
	if s == "" || len(s) > 255 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.IsSpace(r) || strings.ContainsRune(`/\"#`, r)
	}) {
		return fmt.Errorf("%w: address %s", ErrAnswer, quote(s))
	}
	return nil
}

// parseBackend reads one entry. Its Name is still without a number.
func parseBackend(all object) (Backend, error) {
	b := Backend{Address: text(all.get("address")), Port: 80, Weight: 1} // source: the defaults of the 2018 client
	// Guess: an IPv6 address may stand in brackets.
	if strings.HasPrefix(b.Address, "[") && strings.HasSuffix(b.Address, "]") && net.ParseIP(b.Address[1:len(b.Address)-1]) != nil {
		b.Address = b.Address[1 : len(b.Address)-1]
	}
	if err := checkAddress(b.Address); err != nil {
		return b, err
	}
	for _, n := range []struct {
		name     string
		to       *int
		min, max int
	}{{"port", &b.Port, 1, 65535}, {"weight", &b.Weight, 0, 1 << 30}} {
		raw := all.get(n.name)
		if absent(raw) {
			continue
		}
		v, ok := whole(raw)
		if !ok || v < n.min || v > n.max {
			return b, fmt.Errorf("%w: %s %s of %s", ErrAnswer, n.name, quote(string(raw)), b.Address)
		}
		*n.to = v
	}
	if raw := all.get("max_fails"); !absent(raw) {
		v, ok := whole(raw)
		if !ok {
			return b, fmt.Errorf("%w: max_fails %s of %s", ErrAnswer, quote(string(raw)), b.Address)
		}
		b.MaxFails = &v
	}
	for _, f := range []struct {
		name string
		to   *bool
	}{{"down", &b.Down}, {"backup", &b.Backup}} {
		v, ok := truth(all.get(f.name))
		if !ok {
			return b, fmt.Errorf("%w: %s %s of %s: want a boolean", ErrAnswer, f.name, quote(string(all.get(f.name))), b.Address)
		}
		*f.to = v
	}
	b.Name = net.JoinHostPort(b.Address, strconv.Itoa(b.Port))
	return b, nil
}

func absent(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

// text is a string's value, empty for anything else.
func text(raw []byte) string {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func asGiven(raw []byte) string {
	if absent(raw) {
		return ""
	}
	if raw[0] == '"' {
		return line(text(raw))
	}
	return line(string(raw))
}

func length(raw []byte) int {
	var list []json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &list) != nil {
		return 0
	}
	return len(list)
}

// truth reads a boolean leniently: the replaced script wrote "True" and "False"
// and was told 200, so that such strings may well be stored. Absent and null are
// false, the default of every flag. Source for null: none, a guess.
func truth(raw []byte) (value, ok bool) {
	if absent(raw) {
		return false, true
	}
	switch string(raw) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	if s := text(raw); s != "" {
		switch strings.ToLower(s) {
		case "true", "1":
			return true, true
		case "false", "0":
			return false, true
		}
		return false, false
	}
	if n, ok := whole(raw); ok && n <= 1 {
		return n == 1, true
	}
	return false, false
}

// whole reads a whole number that is not negative, in any spelling (8080,
// 8.08e3) and as a string.
func whole(raw []byte) (int, bool) {
	s := string(raw)
	if t := text(raw); t != "" {
		s = t
	}
	digits, exponent, ok := decimal(s)
	if !ok || strings.HasPrefix(digits, "-") || exponent < 0 || len(digits)+exponent > 15 {
		return 0, false
	}
	n, err := strconv.Atoi(digits + strings.Repeat("0", exponent))
	return n, err == nil
}

var number = regexp.MustCompile(`^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,9}))?$`)

// decimal is a JSON number as digits (with a sign) and an exponent of ten, the
// same for all its spellings. Exponents of more than nine digits are none.
func decimal(s string) (digits string, exponent int, ok bool) {
	m := number.FindStringSubmatch(s)
	if m == nil {
		return "", 0, false
	}
	if m[4] != "" {
		exponent, _ = strconv.Atoi(m[4]) // nine digits are always a number
	}
	digits = m[2] + m[3]
	exponent -= len(m[3])
	digits = strings.TrimLeft(digits, "0")
	short := strings.TrimRight(digits, "0")
	if short == "" {
		return "0", 0, true
	}
	return m[1] + short, exponent + len(digits) - len(short), true
}
