package oidc

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
)

// Config is the section "oidc" of the section "access". Call [Config.Validate]
// before anything else.
type Config struct {
	Issuer           string              `yaml:"issuer"` // as the provider writes it, to the last slash
	ClientID         string              `yaml:"client_id"`
	ClientSecretFile string              `yaml:"client_secret_file,omitempty"` // left out: a public client, PKCE alone
	RedirectURL      string              `yaml:"redirect_url,omitempty"`       // left out: below --web.external-url
	Title            string              `yaml:"title,omitempty"`              // what people call the provider; left out: the issuer's host
	Scopes           []string            `yaml:"scopes,omitempty"`             // left out: openid, profile, email
	NameClaim        string              `yaml:"name_claim,omitempty"`         // left out: preferred_username
	RolesClaim       string              `yaml:"roles_claim,omitempty"`        // left out: groups; realm_access.roles is the one inside the other
	Roles            map[string][]string `yaml:"roles"`                        // what a group, or a role of the provider's, is here
	ClockSkew        model.Duration      `yaml:"clock_skew,omitempty"`         // how far the clocks may be apart; left out: 1m

	Client promconfig.HTTPClientConfig `yaml:",inline"`
}

const (
	defaultName  = "preferred_username"
	defaultRoles = "groups"
	defaultSkew  = time.Minute
	mostSkew     = 10 * time.Minute
)

// UnmarshalYAML fills in the client's defaults, whose zero values mean something else.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	c.Client = promconfig.DefaultHTTPClientConfig
	return unmarshal((*plain)(c))
}

// SetDirectory makes relative paths relative to the configuration file's directory.
func (c *Config) SetDirectory(dir string) {
	c.ClientSecretFile = promconfig.JoinDir(dir, c.ClientSecretFile)
	c.Client.SetDirectory(dir)
}

// Validate fills in what was left out and returns all mistakes. Role says whether
// there is a role of that name.
func (c *Config) Validate(role func(name string) bool) edge.Mistakes {
	var all edge.Mistakes
	if u, why := address(c.Issuer); why != "" {
		all.Add("issuer", "%s", why)
	} else {
		c.Title = cmp.Or(c.Title, u.Host)
	}
	if c.ClientID == "" {
		all.Add("client_id", "is missing: write the one that the provider gave")
	}
	if c.RedirectURL != "" {
		switch u, why := address(c.RedirectURL); {
		case why != "":
			all.Add("redirect_url", "%s", why)
		case !strings.HasSuffix(u.Path, Callback):
			all.Add("redirect_url", "%q doesn't end in %s", c.RedirectURL, Callback)
		}
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"openid", "profile", "email"}
	}
	if !slices.Contains(c.Scopes, "openid") {
		all.Add("scopes", "openid is missing: without it the provider doesn't say who somebody is")
	}
	c.NameClaim = cmp.Or(c.NameClaim, defaultName)
	c.RolesClaim = cmp.Or(c.RolesClaim, defaultRoles)
	if len(c.Roles) == 0 {
		all.Add("roles", "is missing: write which group has which roles here, as in sluice-admins: [admin]")
	}
	for _, group := range slices.Sorted(maps.Keys(c.Roles)) {
		if len(c.Roles[group]) == 0 {
			all.Add("roles."+group, "has no role: write at least one")
		}
		for i, name := range c.Roles[group] {
			if !role(name) {
				all.Add(fmt.Sprintf("roles.%s[%d]", group, i), "there is no role %q", name)
			}
		}
	}
	c.ClockSkew = cmp.Or(c.ClockSkew, model.Duration(defaultSkew))
	if d := time.Duration(c.ClockSkew); d < 0 || d > mostSkew {
		all.Add("clock_skew", "%s: write up to 10m", c.ClockSkew)
	}
	if c.Client.BasicAuth != nil || c.Client.Authorization != nil || c.Client.OAuth2 != nil ||
		c.Client.BearerToken != "" || c.Client.BearerTokenFile != "" {
		// It would stand where the client's own secret has to.
		all.Add("", "the provider is asked with client_id and client_secret_file: leave out basic_auth, authorization, oauth2 and bearer_token")
	} else if err := c.Client.Validate(); err != nil {
		all.Add("", "%v", err)
	}
	return all
}

// Files returns a mistake for each file that can't be used now.
func (c *Config) Files() edge.Mistakes {
	var all edge.Mistakes
	if c.ClientSecretFile == "" {
		return nil
	}
	if _, err := c.secret(); err != nil {
		all.Add("client_secret_file", "%v", err)
	}
	return all
}

// address reads a URL under which something is asked, or somebody sent.
func address(text string) (u *url.URL, why string) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, "is missing: want a URL such as https://login.example.com/realms/main"
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, fmt.Sprintf("%q is no URL: want one such as https://login.example.com/realms/main", text)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, "want a URL without user, query and fragment"
	case u.Scheme == "http" && !own(u):
		return nil, fmt.Sprintf("%q: write https: whoever stands in the way of plain http can log in as anybody", text)
	}
	return u, ""
}

// own says whether a URL leads to this very machine.
func own(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

// stamp tells whether a log-in would have given the same as before.
func (c *Config) stamp() string {
	text, err := json.Marshal([]any{c.Issuer, c.ClientID, c.NameClaim, c.RolesClaim, c.Roles})
	if err != nil {
		panic(err) // texts can be written
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
