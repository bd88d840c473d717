package access

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access/oidc"
	"github.com/sluice-project/sluice/remediator/access/session"
)

// Config is the section "access". Call [Config.Validate] before anything else.
// With it nobody gets in unasked, not even from this machine.
type Config struct {
	Users  []User  `yaml:"users,omitempty"`
	Tokens []Token `yaml:"tokens,omitempty"`
	Roles  []Role  `yaml:"roles,omitempty"` // beside viewer, operator, admin and webhook

	// Proxies are addresses, or networks of them, whose header X-Forwarded-For says
	// from where a log-in comes. Left out: nobody is believed.
	Proxies []string `yaml:"proxies,omitempty"`

	Sessions session.Config `yaml:"sessions,omitempty"` // of the console's browsers
	OIDC     *oidc.Config   `yaml:"oidc,omitempty"`     // another way to log in to the console

	secret string // AGENT_AUTH_TOKEN; see [ForToken]
}

// A User is somebody by name. Without a password they come by a token, by
// exporter-toolkit's basic authentication or by a client certificate.
type User struct {
	Name             string   `yaml:"name"`
	PasswordHash     string   `yaml:"password_hash,omitempty"`      // bcrypt
	PasswordHashFile string   `yaml:"password_hash_file,omitempty"` // instead; its first line
	Roles            []string `yaml:"roles"`
}

// A Token is what a program sends, in "Authorization: Bearer TOKEN".
type Token struct {
	Name      string    `yaml:"name"`
	User      string    `yaml:"user,omitempty"`  // whose it is,
	Roles     []string  `yaml:"roles,omitempty"` // or what it may itself
	TokenFile string    `yaml:"token_file,omitempty"`
	TokenHash string    `yaml:"token_hash,omitempty"` // instead: the SHA-256 of the token, in hex
	Expires   time.Time `yaml:"expires,omitempty"`    // left out: never
}

// A Role is one of the configuration's own: what another role may, on some
// devices and pools.
type Role struct {
	Name    string   `yaml:"name"`
	Like    string   `yaml:"like"`              // viewer, operator, admin or webhook
	Devices []string `yaml:"devices,omitempty"` // anchored regular expressions; left out: all
	Pools   []string `yaml:"pools,omitempty"`
}

// Bounds on passwords and tokens.
const (
	// leastCost lets in what htpasswd makes unasked; a hash of mostCost takes about a
	// second to check.
	leastCost, mostCost = bcrypt.MinCost, 14
	// mostPassword is all that bcrypt looks at. A longer one would be half checked.
	mostPassword = 72
	// leastToken is the length from which on nobody guesses a token that was made by
	// chance: 24 characters of base64 are 144 bits.
	leastToken, mostToken = 24, 4096
	// mostHeader is what is looked at of the header Authorization: a name and a token
	// have less, and a megabyte of it would cost us more than who sends it.
	mostHeader = 2 * mostToken
)

// oneName is what stands in the journal as who did something, and in labels.
var oneName = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} ._:@/=,+-]{0,127}$`)

const wantName = "want letters, digits and . _ : @ / = , + - at most 128, a letter or digit first"

// SetDirectory makes relative paths relative to the configuration file's directory.
func (c *Config) SetDirectory(dir string) {
	for i := range c.Users {
		c.Users[i].PasswordHashFile = promconfig.JoinDir(dir, c.Users[i].PasswordHashFile)
	}
	for i := range c.Tokens {
		c.Tokens[i].TokenFile = promconfig.JoinDir(dir, c.Tokens[i].TokenFile)
	}
	if c.OIDC != nil {
		c.OIDC.SetDirectory(dir)
	}
}

// Validate returns all mistakes.
func (c *Config) Validate() edge.Mistakes {
	var all edge.Mistakes
	if len(c.Users) == 0 && len(c.Tokens) == 0 && c.OIDC == nil {
		all.Add("", "names neither users nor tokens nor oidc: nobody could come in")
	}
	for i, text := range c.Proxies {
		if _, err := proxy(text); err != nil {
			all.Add(fmt.Sprintf("proxies[%d]", i), "%v", err)
		}
	}
	known := c.validateRoles(&all)
	all.Under("sessions", c.Sessions.Validate())
	if c.OIDC != nil {
		all.Under("oidc", c.OIDC.Validate(func(role string) bool { return slices.Contains(known, role) }))
	}
	users := map[string]int{}
	for i, u := range c.Users {
		at := fmt.Sprintf("users[%d]", i)
		if first, twice := users[u.Name]; twice && u.Name != "" {
			all.Add(at+".name", "%q is users[%d] already: give each a name of their own", u.Name, first)
		}
		users[u.Name] = i
		all.Under(at, u.validate(known))
	}
	tokens := map[string]int{}
	for i, t := range c.Tokens {
		at := fmt.Sprintf("tokens[%d]", i)
		if first, twice := tokens[t.Name]; twice && t.Name != "" {
			all.Add(at+".name", "%q is tokens[%d] already: give each a name of its own", t.Name, first)
		}
		tokens[t.Name] = i
		if _, ok := users[t.Name]; ok && t.User == "" && t.Name != "" {
			all.Add(at+".name", "%q is a user: write user: %s, or give the token another name, for the journal tells who by the name", t.Name, t.Name)
		}
		if _, ok := users[t.User]; !ok && t.User != "" {
			all.Add(at+".user", "%.80q is not among users: write one of them, or roles instead", t.User)
		}
		all.Under(at, t.validate(known))
	}
	return all
}

// validateRoles returns the names of all roles that there are.
func (c *Config) validateRoles(all *edge.Mistakes) []string {
	known := []string{Viewer, Operator, Admin, Hook}
	for i, r := range c.Roles {
		at := fmt.Sprintf("roles[%d]", i)
		switch {
		case r.Name == "":
			all.Add(at+".name", "is missing: write one")
		case slices.Contains(known[:len(builtin)], r.Name):
			all.Add(at+".name", "%q is a role that there is already: choose another name", r.Name)
		case slices.Contains(known, r.Name):
			all.Add(at+".name", "%q stands here a second time: choose another name", r.Name)
		case !oneName.MatchString(r.Name):
			all.Add(at+".name", "%.80q: %s", r.Name, wantName)
		}
		known = append(known, r.Name)
		switch {
		case r.Like == "":
			all.Add(at+".like", "is missing: write viewer, operator or admin")
		case r.Like == Hook:
			all.Add(at+".like", "a webhook carries alerts of all devices, and can't be limited: write viewer, operator or admin")
		case builtin[r.Like] == nil:
			all.Add(at+".like", "%.80q: write viewer, operator or admin", r.Like)
		}
		for key, list := range map[string][]string{"devices": r.Devices, "pools": r.Pools} {
			for k, text := range list {
				if err := compiles(text); err != nil {
					all.Add(fmt.Sprintf("%s.%s[%d]", at, key, k), "%v", err)
				}
			}
		}
		if r.Devices != nil && len(r.Devices) == 0 {
			all.Add(at+".devices", "is empty, and would mean all: leave it out, or name some")
		}
		if r.Pools != nil && len(r.Pools) == 0 {
			all.Add(at+".pools", "is empty, and would mean all: leave it out, or name some")
		}
	}
	return known
}

// compiles says what is wrong with an expression. By itself first: ")(" becomes
// good, and means something else, once it is anchored.
func compiles(text string) error {
	if text == "" {
		return fmt.Errorf("is empty, and would mean nothing: write a name or a regular expression")
	}
	if _, err := regexp.Compile(text); err != nil {
		return fmt.Errorf("not a regular expression: %w", err)
	}
	_, err := anchored([]string{text})
	return err
}

func (u *User) validate(known []string) (all edge.Mistakes) {
	checkName(&all, u.Name)
	switch {
	case u.PasswordHash != "" && u.PasswordHashFile != "":
		all.Add("password_hash_file", "and password_hash: write one of them")
	case u.PasswordHash != "":
		if err := checkHash(u.PasswordHash); err != nil {
			all.Add("password_hash", "%v", err)
		}
	}
	checkRoles(&all, u.Roles, known)
	return all
}

func (t *Token) validate(known []string) (all edge.Mistakes) {
	checkName(&all, t.Name)
	switch {
	case t.User != "" && len(t.Roles) > 0:
		all.Add("roles", "and user: write one of them: a user's tokens have the user's roles")
	case t.User == "":
		checkRoles(&all, t.Roles, known)
	}
	switch {
	case t.TokenFile == "" && t.TokenHash == "":
		all.Add("token_file", "is missing: write the file that holds the token, or token_hash, the SHA-256 of it")
	case t.TokenFile != "" && t.TokenHash != "":
		all.Add("token_hash", "and token_file: write one of them")
	case t.TokenHash != "":
		if b, err := hex.DecodeString(t.TokenHash); err != nil || len(b) != 32 {
			all.Add("token_hash", "want the SHA-256 of the token, 64 hexadecimal digits")
		}
	}
	return all
}

func checkName(all *edge.Mistakes, name string) {
	switch {
	case name == "":
		all.Add("name", "is missing: write one")
	case !oneName.MatchString(name):
		all.Add("name", "%.80q: %s", name, wantName)
	}
}

func checkRoles(all *edge.Mistakes, roles, known []string) {
	if len(roles) == 0 {
		all.Add("roles", "is missing: write some of %s", strings.Join(known, ", "))
	}
	for i, r := range roles {
		if !slices.Contains(known, r) {
			all.Add(fmt.Sprintf("roles[%d]", i), "%.80q: there is no such role: write one of %s", r, strings.Join(known, ", "))
		}
	}
}

// checkHash says what is wrong with a bcrypt hash, and never the hash.
func checkHash(hash string) error {
	cost, err := bcrypt.Cost([]byte(hash))
	switch {
	case err != nil || len(hash) != 60:
		return fmt.Errorf("not a bcrypt hash: make one by htpasswd -nBC 10 '' and leave out the colon")
	case cost < leastCost || cost > mostCost:
		return fmt.Errorf("cost %d: want %d to %d, as each log-in takes the time", cost, leastCost, mostCost)
	}
	return nil
}

// Files returns a mistake for each file that can't be used now. A server doesn't
// start then, and a reload leaves all as it was.
func (c *Config) Files() edge.Mistakes {
	var all edge.Mistakes
	for i, u := range c.Users {
		if _, err := u.hash(); err != nil && u.PasswordHashFile != "" {
			all.Add(fmt.Sprintf("users[%d].password_hash_file", i), "%v", err)
		}
	}
	for i, t := range c.Tokens {
		if _, err := t.read(); err != nil && t.TokenFile != "" {
			all.Add(fmt.Sprintf("tokens[%d].token_file", i), "%v", err)
		}
	}
	if c.OIDC != nil {
		all.Under("oidc", c.OIDC.Files())
	}
	return all
}

// ForToken is a configuration that lets in whoever has the one token, which may
// then do everything. Nobody knows who that is: they are called by their address.
func ForToken(token string) *Config { return &Config{secret: token} }
