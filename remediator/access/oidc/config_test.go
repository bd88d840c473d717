package oidc

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
)

func TestConfig(t *testing.T) {
	const good = "issuer: https://login.example.com/realms/main\nclient_id: sluice\nroles: {net: [operator]}\n"
	role := func(name string) bool { return name == "operator" || name == "viewer" }
	for name, c := range map[string]struct {
		text string
		want edge.Mistakes
	}{
		"the least":        {good, nil},
		"on this machine":  {strings.Replace(good, "https://login.example.com", "http://127.0.0.1:8080", 1), nil},
		"all":              {good + "client_secret_file: x\nredirect_url: https://sluice.example.com/a/console/oidc/callback\nscopes: [openid, groups]\nclock_skew: 5m\ntls_config: {ca_file: ca.pem}\n", nil},
		"no provider":      {"roles: {net: [operator]}", edge.Mistakes{{Path: "issuer", Text: "is missing: want a URL such as https://login.example.com/realms/main"}, {Path: "client_id", Text: "is missing: write the one that the provider gave"}}},
		"no address":       {strings.Replace(good, "https://", "", 1), edge.Mistakes{{Path: "issuer", Text: `"login.example.com/realms/main" is no URL: want one such as https://login.example.com/realms/main`}}},
		"plain http":       {strings.Replace(good, "https", "http", 1), edge.Mistakes{{Path: "issuer", Text: `"http://login.example.com/realms/main": write https: whoever stands in the way of plain http can log in as anybody`}}},
		"with a password":  {strings.Replace(good, "https://", "https://ann:not-a-real-password@", 1), edge.Mistakes{{Path: "issuer", Text: "want a URL without user, query and fragment"}}},
		"with a query":     {strings.Replace(good, "/main", "/main?a=b", 1), edge.Mistakes{{Path: "issuer", Text: "want a URL without user, query and fragment"}}},
		"back to nowhere":  {good + "redirect_url: https://sluice.example.com/", edge.Mistakes{{Path: "redirect_url", Text: `"https://sluice.example.com/" doesn't end in /console/oidc/callback`}}},
		"back in plain":    {good + "redirect_url: http://sluice.example.com/console/oidc/callback", edge.Mistakes{{Path: "redirect_url", Text: `"http://sluice.example.com/console/oidc/callback": write https: whoever stands in the way of plain http can log in as anybody`}}},
		"no openid":        {good + "scopes: [profile]", edge.Mistakes{{Path: "scopes", Text: "openid is missing: without it the provider doesn't say who somebody is"}}},
		"no roles":         {"issuer: https://login.example.com\nclient_id: a", edge.Mistakes{{Path: "roles", Text: "is missing: write which group has which roles here, as in sluice-admins: [admin]"}}},
		"a group for none": {"issuer: https://login.example.com\nclient_id: a\nroles: {net: []}", edge.Mistakes{{Path: "roles.net", Text: "has no role: write at least one"}}},
		"unknown role":     {"issuer: https://login.example.com\nclient_id: a\nroles: {net: [viewer, root]}", edge.Mistakes{{Path: "roles.net[1]", Text: `there is no role "root"`}}},
		"clocks apart":     {good + "clock_skew: 1h", edge.Mistakes{{Path: "clock_skew", Text: "1h: write up to 10m"}}},
		"a password of its own": {
			good + "basic_auth: {username: a, password: b}",
			edge.Mistakes{{Text: "the provider is asked with client_id and client_secret_file: leave out basic_auth, authorization, oauth2 and bearer_token"}},
		},
		"two ways past a proxy": {
			good + "no_proxy: example.com",
			edge.Mistakes{{Text: "if no_proxy is configured, proxy_url must also be configured"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got Config
			if err := yaml.Unmarshal([]byte(c.text), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Validate(role)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsLeftOutIsFilledIn(t *testing.T) {
	var got Config
	if err := yaml.Unmarshal([]byte("issuer: https://login.example.com/realms/main\nclient_id: sluice\nclient_secret_file: oidc.secret\ntls_config: {ca_file: ca.pem}\nroles: {net: [operator]}"), &got); err != nil {
		t.Fatal(err)
	}
	got.SetDirectory("/etc/sluice")
	if m := got.Validate(func(string) bool { return true }); len(m) > 0 {
		t.Fatal(m)
	}
	want := Config{
		Issuer: "https://login.example.com/realms/main", ClientID: "sluice", ClientSecretFile: "/etc/sluice/oidc.secret",
		Title: "login.example.com", Scopes: []string{"openid", "profile", "email"}, NameClaim: "preferred_username", RolesClaim: "groups",
		Roles: map[string][]string{"net": {"operator"}}, ClockSkew: model.Duration(time.Minute),
		Client: promconfig.DefaultHTTPClientConfig,
	}
	want.Client.TLSConfig.CAFile = "/etc/sluice/ca.pem"
	if !reflect.DeepEqual(want, got) { // the client's settings have fields that cmp can't see
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Whatever a provider says, nobody has a role that the configuration doesn't give to
// one of their groups, nor a name that doesn't fit on a line.
func FuzzWho(f *testing.F) {
	c := &Config{NameClaim: "preferred_username", RolesClaim: "realm.roles", Roles: map[string][]string{"net": {"operator"}}}
	for _, s := range []string{
		`{}`, `{"preferred_username":"ann","realm":{"roles":["net"]}}`, `{"preferred_username":"ann","realm.roles":"net"}`,
		`{"preferred_username":["ann"],"realm":{"roles":{"net":1}}}`, `{"preferred_username":"a\u2028b","realm":{"roles":["net"]}}`, `[]`, `null`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var said claims
		if err := yaml.Unmarshal([]byte(text), (*map[string]any)(&said)); err != nil {
			return
		}
		who, err := c.who(said)
		if err != nil {
			if diff := cmp.Diff(who.Roles, []string(nil)); diff != "" || who.Name != "" {
				t.Error("an error, and somebody:", who)
			}
			return
		}
		if strings.ContainsAny(who.Name, "\n\r\t\x00\u2028\u2029") || who.Name == "" || len(who.Name) > maxName {
			t.Errorf("name %q", who.Name)
		}
		if diff := cmp.Diff([]string{"operator"}, who.Roles); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(text, "net") {
			t.Error("a role without the group:", text)
		}
	})
}
