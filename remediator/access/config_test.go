package access

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
)

func TestMistakesAreToldByTheirPlace(t *testing.T) {
	hash := hashed(t, password)
	ann := User{Name: "ann", PasswordHash: hash, Roles: []string{Viewer}}
	sum := strings.Repeat("0", 64)
	for _, c := range []struct {
		name string
		c    Config
		want string // path: the beginning of the text; more than one are apart by "|"
	}{
		{"a good one", Config{Users: []User{ann}}, ""},
		{"nobody", Config{}, ": names neither users nor tokens"},
		{"roles alone", Config{Roles: []Role{{Name: "team", Like: Viewer}}}, ": names neither users nor tokens"},
		{"a user without name and roles", Config{Users: []User{{}}}, "users[0].name: is missing|users[0].roles: is missing"},
		{"a name on two lines", Config{Users: []User{{Name: "a\nb", Roles: []string{Viewer}}}}, `users[0].name: "a\nb": want letters`},
		{"a user twice", Config{Users: []User{ann, ann}}, `users[1].name: "ann" is users[0] already`},
		{"a password", Config{Users: []User{{Name: "ann", PasswordHash: password, Roles: []string{Viewer}}}}, "users[0].password_hash: not a bcrypt hash"},
		{"a slow hash", Config{Users: []User{{Name: "ann", PasswordHash: strings.Replace(hash, "$04$", "$31$", 1), Roles: []string{Viewer}}}}, "users[0].password_hash: cost 31: want 4 to 14"},
		{"a hash and a file", Config{Users: []User{{Name: "ann", PasswordHash: hash, PasswordHashFile: "x", Roles: []string{Viewer}}}}, "users[0].password_hash_file: and password_hash: write one"},
		{"a role that there isn't", Config{Users: []User{{Name: "ann", Roles: []string{Viewer, "root"}}}}, `users[0].roles[1]: "root": there is no such role: write one of viewer, operator, admin, webhook`},
		{"a token of nothing", Config{Tokens: []Token{{}}}, "tokens[0].name: is missing|tokens[0].roles: is missing|tokens[0].token_file: is missing"},
		{"a token of nobody", Config{Tokens: []Token{{Name: "t", User: "eve", TokenHash: sum}}}, `tokens[0].user: "eve" is not among users`},
		{"a token twice", Config{Tokens: []Token{{Name: "t", Roles: []string{Hook}, TokenHash: sum}, {Name: "t", Roles: []string{Hook}, TokenHash: sum}}}, `tokens[1].name: "t" is tokens[0] already`},
		{"a token by a user's name", Config{Users: []User{ann}, Tokens: []Token{{Name: "ann", Roles: []string{Admin}, TokenHash: sum}}}, `tokens[0].name: "ann" is a user`},
		{"a user's token with roles", Config{Users: []User{ann}, Tokens: []Token{{Name: "t", User: "ann", Roles: []string{Admin}, TokenHash: sum}}}, "tokens[0].roles: and user: write one"},
		{"a token's hash and file", Config{Tokens: []Token{{Name: "t", Roles: []string{Hook}, TokenHash: sum, TokenFile: "x"}}}, "tokens[0].token_hash: and token_file: write one"},
		{"a token in place of its hash", Config{Tokens: []Token{{Name: "t", Roles: []string{Hook}, TokenHash: laptop}}}, "tokens[0].token_hash: want the SHA-256"},
		{"a role like none", Config{Users: []User{ann}, Roles: []Role{{Name: "team"}, {Name: "x", Like: "root"}}}, `roles[0].like: is missing|roles[1].like: "root": write viewer`},
		{"a role that there is", Config{Users: []User{ann}, Roles: []Role{{Name: "admin", Like: Viewer}}}, `roles[0].name: "admin" is a role that there is already`},
		{"a role twice", Config{Users: []User{ann}, Roles: []Role{{Name: "team", Like: Viewer}, {Name: "team", Like: Viewer}}}, `roles[1].name: "team" stands here a second time`},
		{"proxies that are none", Config{Users: []User{ann}, Proxies: []string{"192.0.2.1", "proxy.example.com", "0.0.0.0/0", "fe80::1%eth0"}}, "proxies[1]: want an address|proxies[2]: would believe everybody|proxies[3]: want an address"},
		{"a limited webhook", Config{Users: []User{ann}, Roles: []Role{{Name: "team", Like: Hook}}}, "roles[0].like: a webhook carries alerts of all devices"},
		{"a pattern that is none", Config{Users: []User{ann}, Roles: []Role{{Name: "team", Like: Viewer, Devices: []string{"edge1", ")("}}}}, "roles[0].devices[1]: not a regular expression"},
		{"a pattern of nothing", Config{Users: []User{ann}, Roles: []Role{{Name: "team", Like: Viewer, Pools: []string{""}}}}, "roles[0].pools[0]: is empty"},
		{"no patterns where some were meant", Config{Users: []User{ann}, Roles: []Role{{Name: "team", Like: Viewer, Devices: []string{}, Pools: []string{}}}}, "roles[0].devices: is empty, and would mean all|roles[0].pools: is empty, and would mean all"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantMistakes(t, c.c.Validate(), c.want)
		})
	}
}

func wantMistakes(t *testing.T, got edge.Mistakes, want string) {
	t.Helper()
	var wants []string
	if want != "" {
		wants = strings.Split(want, "|")
	}
	if len(got) != len(wants) {
		t.Fatalf("%v, want %q", got, wants)
	}
	for i, m := range got {
		if text := m.Path + ": " + m.Text; !strings.HasPrefix(text, wants[i]) {
			t.Errorf("%s\nwant it to begin with %s", text, wants[i])
		}
		if text := m.Error(); strings.Contains(text, "not-a-real") || strings.ContainsAny(text, "\n\r") {
			t.Errorf("not for everybody's eyes, or not one line: %q", text)
		}
	}
}

func TestFilesThatCantBeUsedAreNamed(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("good"), laptop+"\n")
	write(t, at("same"), laptop)
	write(t, at("short"), "not-a-real-token\n")
	write(t, at("two"), laptop+"\n"+script+"\n")
	write(t, at("empty"), "\n")
	write(t, at("blank"), "not-a-real token with blanks\n")
	write(t, at("large"), strings.Repeat("x", 3*mostToken))
	write(t, at("hash"), hashed(t, password)+"\n")
	if err := os.Mkdir(at("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, token, hash string }{
		{"good", "", "not a bcrypt hash"},
		{"hash", "", ""},
		{"short", "the token has 16 characters: want 24 to 4096", "not a bcrypt hash"},
		{"two", "has more than one line", "has more than one line"},
		{"empty", "is empty", "is empty"},
		{"blank", "the token has a blank", "not a bcrypt hash"},
		{"large", "is too large", "is too large"},
		{"folder", "not a file", "not a file"},
		{"none", "no such file", "no such file"},
	} {
		t.Run(c.file, func(t *testing.T) {
			cfg := &Config{
				Users:  []User{{Name: "ann", PasswordHashFile: c.file, Roles: []string{Viewer}}},
				Tokens: []Token{{Name: "t", TokenFile: c.file, Roles: []string{Viewer}}},
			}
			cfg.SetDirectory(dir)
			wants := map[string]string{"users[0].password_hash_file": c.hash, "tokens[0].token_file": c.token}
			for _, m := range cfg.Files() {
				if want := wants[m.Path]; want == "" || !strings.Contains(m.Text, want) || !strings.Contains(m.Text, dir) || strings.Contains(m.Text, "not-a-real") {
					t.Errorf("%s: %s, want %q", m.Path, m.Text, want)
				}
				delete(wants, m.Path)
			}
			for path, want := range wants {
				if want != "" {
					t.Errorf("%s: no mistake, want %q", path, want)
				}
			}
			_, err := New(Options{Config: cfg})
			if (err == nil) != (c.token == "" && c.hash == "") || err != nil && strings.Contains(err.Error(), "not-a-real") {
				t.Errorf("the gate says %v", err)
			}
		})
	}
	_, err := New(Options{Config: &Config{Tokens: []Token{
		{Name: "one", TokenFile: at("good"), Roles: []string{Viewer}}, {Name: "other", TokenFile: at("same"), Roles: []string{Admin}},
	}}})
	if want := "token other: is the same as token one: make another"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAConfigurationThatCantBeUsedLeavesAllAsItWas(t *testing.T) {
	c := people(t)
	g := gate(t, Options{Config: c})
	if err := os.Remove(c.Tokens[0].TokenFile); err != nil {
		t.Fatal(err)
	}
	if err := g.Use(c); err == nil {
		t.Error("no error, though a file is gone")
	}
	if w, _ := ask(g, get("/", bearer(laptop))); w.Code != 200 {
		t.Errorf("the token of the file that is gone: %d", w.Code)
	}
}

func TestWhoHasOtherRolesThanTheConfigurationKnows(t *testing.T) {
	g := gate(t, Options{Config: people(t)})
	i := g.WithRoles("carol", "oidc", []string{"shop-team", "gone", Viewer, Viewer})
	got := fmt.Sprint(i.Name, i.Via, i.Roles, i.May(Order, edge.Pool{Device: "edge1", Name: "shop"}), i.May(Order, edge.Pool{Device: "edge1", Name: "web"}))
	if diff := cmp.Diff("caroloidc[shop-team viewer] true false", got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, ok := g.User("carol", ViaSession); ok {
		t.Error("carol is a user")
	}
	if i := gate(t, Options{}).WithRoles("carol", "oidc", []string{"shop-team", Viewer}); len(i.Roles) != 1 {
		t.Errorf("without a section: %+v", i)
	}
}

func TestSecretsArentKept(t *testing.T) {
	s, err := newState(people(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range s.tokens {
		if text := fmt.Sprintf("%+v", one); strings.Contains(text, "not-a-real") {
			t.Errorf("%s", text)
		}
	}
}
