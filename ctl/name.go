package ctl

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-project/sluice/edge"
)

// mostCandidates is how many members an error lists.
const mostCandidates = 20

// ErrNoMember says that nothing has the name.
var ErrNoMember = errors.New("no such member")

// ErrAmbiguous says that a short name is several members'.
var ErrAmbiguous = errors.New("is not one member's name alone")

// Name writes a member as DEVICE/POOL/MEMBER, such that [ParseName] reads it back:
// a slash, a percent sign or a space within a part is percent-encoded.
func Name(m edge.Member) string { return join(m.Device, m.Pool, m.Name) }

// PoolName writes a pool as DEVICE/POOL.
func PoolName(p edge.Pool) string { return join(p.Device, p.Name) }

func join(parts ...string) string {
	for i, p := range parts {
		parts[i] = encode(p)
	}
	return strings.Join(parts, "/")
}

// encode escapes what would end a part, or a word of the shell. Letters of other
// alphabets stay readable.
func encode(s string) string {
	var b strings.Builder
	for s != "" {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError || !unicode.IsPrint(r) || strings.ContainsRune(special, r) {
			b.WriteString(percent(s[:size]))
		} else {
			b.WriteRune(r)
		}
		s = s[size:]
	}
	return b.String()
}

// special are the characters that a name never shows as they are: our own, and
// those that mean something to a shell.
const special = " /%'\"\\$&;|<>()*?[]{}!#~`"

func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// ParseName splits a name at its slashes, at most that many parts, and decodes
// each of them.
func ParseName(s string, most int) ([]string, error) {
	parts := strings.Split(s, "/")
	if len(parts) > most {
		return nil, fmt.Errorf("%q has more than %d parts: write a slash within a name as %%2F", s, most)
	}
	for i, p := range parts {
		decoded, err := url.PathUnescape(p)
		if err != nil {
			return nil, fmt.Errorf("%q: %w: write a percent sign within a name as %%25", s, err)
		}
		if decoded == "" {
			return nil, fmt.Errorf("%q has an empty part: write DEVICE/POOL/MEMBER", s)
		}
		parts[i] = decoded
	}
	return parts, nil
}

// Find returns the member that a name means: DEVICE/POOL/MEMBER, or POOL/MEMBER or
// MEMBER where only one member is called so.
func (c *Client) Find(ctx context.Context, name string) (edge.Member, error) {
	parts, err := ParseName(name, 3)
	if err != nil {
		return edge.Member{}, err
	}
	if len(parts) == 3 {
		return edge.Member{Device: parts[0], Pool: parts[1], Name: parts[2]}, nil
	}
	all, err := c.Members(ctx, "", "")
	if err != nil {
		return edge.Member{}, err
	}
	var found []string
	var m edge.Member
	for _, one := range all.Members {
		if matches(one.Member, parts) {
			m = one.Member
			found = append(found, Name(m))
		}
	}
	if err := unreadable(all); err != nil && len(found) != 1 {
		return m, fmt.Errorf("%s: %w", name, err)
	} else if err != nil {
		// One that can't be read may have a member of the same name.
		return m, fmt.Errorf("%s: %w: write it whole: %s", name, err, found[0])
	}
	return m, one(name, found)
}

// FindPool returns the pool that a name means: DEVICE/POOL, or POOL where only one
// is called so.
func (c *Client) FindPool(ctx context.Context, name string) (edge.Pool, error) {
	parts, err := ParseName(name, 2)
	if err != nil {
		return edge.Pool{}, err
	}
	if len(parts) == 2 {
		return edge.Pool{Device: parts[0], Name: parts[1]}, nil
	}
	all, err := c.Members(ctx, "", parts[0])
	if err != nil {
		return edge.Pool{}, err
	}
	if err := unreadable(all); err != nil {
		return edge.Pool{}, fmt.Errorf("%s: %w: write DEVICE/POOL", name, err)
	}
	var found []string
	var p edge.Pool
	for _, one := range all.Members {
		if one.Member.Pool == parts[0] {
			p = one.Member.In()
			found = append(found, PoolName(p))
		}
	}
	slices.Sort(found)
	return p, one(name, slices.Compact(found))
}

// matches says whether the last parts of a member's name are these.
func matches(m edge.Member, parts []string) bool {
	whole := []string{m.Device, m.Pool, m.Name}
	return slices.Equal(whole[3-len(parts):], parts)
}

func one(name string, found []string) error {
	switch len(found) {
	case 0:
		return fmt.Errorf("%s: %w", Line(name), ErrNoMember)
	case 1:
		return nil
	}
	slices.Sort(found)
	more := ""
	if n := len(found) - mostCandidates; n > 0 {
		found, more = found[:mostCandidates], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("%s %w: write one of %s%s", Line(name), ErrAmbiguous, strings.Join(found, ", "), more)
}

// unreadable says which devices' members aren't listed.
func unreadable(all Roster) error {
	var names []string
	for _, d := range all.Devices {
		if d.Error != "" {
			names = append(names, d.Device)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("a short name can't be looked up while %s can't be read", strings.Join(names, ", "))
}
