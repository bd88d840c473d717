package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// sample has each shape that a section may have.
type sample struct {
	Name     string                 `yaml:"name"`
	Every    model.Duration         `yaml:"every"`
	Fall     int                    `yaml:"fall"`
	Strict   bool                   `yaml:"strict"`
	Share    float64                `yaml:"share"`
	Targets  []string               `yaml:"targets"`
	Parts    map[string]part        `yaml:"parts"`
	List     []part                 `yaml:"list"`
	Pointer  *part                  `yaml:"pointer"`
	Link     promconfig.URL         `yaml:"link"`
	Headers  *promconfig.Headers    `yaml:"http_headers"`
	TLS      promconfig.TLSConfig   `yaml:"tls_config"`
	Basic    *promconfig.BasicAuth  `yaml:"basic_auth"`
	Proxy    promconfig.ProxyConfig `yaml:",inline"`
	Password promconfig.Secret      `yaml:"password"`
}

type part struct {
	Interval model.Duration    `yaml:"interval"`
	Body     string            `yaml:"body"`
	Path     string            `yaml:"path"`
	Headers  map[string]string `yaml:"headers"`
}

func TestEveryMistakeIsFoundInOneRunWithItsLine(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"a good file", "name: x\nevery: 5s\nparts: {a.b: {interval: 1s}}\nhttp_headers: {X-A: {values: [b]}}\ntls_config: {insecure_skip_verify: true}\n", nil},
		{"an empty file", "", []string{"1: the file is empty: write devices, modules and probes into it"}},
		{"a list instead of sections", "- a\n", []string{"1: want sections such as devices, modules and probes here, not a list"}},
		{"not YAML", "name: x\n  fall: 3\n", []string{"2: not YAML: mapping values are not allowed in this context: check how far it is indented, and put quotes around a value that holds : or #"}},
		{"two documents", "name: x\n---\nname: y\n", []string{`2: a second document starts here: keep all in one, without "---"`}},
		{
			"a slip of the hand", "name: x\nfal: 3\nlist: [{intreval: 1s}]\n",
			[]string{`2: fal: unknown field: write "fall"`, `3: list[0].intreval: unknown field: write "interval"`},
		},
		{
			"a word that is near to none", "list:\n  - colour: red\n",
			[]string{"2: list[0].colour: unknown field: here may stand body, headers, interval, path"},
		},
		{"the same key twice", "fall: 1\nfall: 2\n", []string{"2: fall: stands here a second time, first on line 1: keep one"}},
		{
			"wrong kinds of value", "every: soon\nfall: many\nstrict: maybe\nshare: half\ntargets: one\nlist: {}\nparts: []\nname: [a]\n",
			[]string{
				`1: every: "soon" is not a duration: write one like 500ms, 30s, 1h30m or 90d`,
				`2: fall: "many" is not a whole number: write one like 3`,
				`3: strict: "maybe" is neither true nor false: write one of them`,
				`4: share: "half" is not a number: write one like 0.5`,
				"5: targets: want a list: put - before each entry, or [ ] around all, not a single value",
				"6: list: want a list: put - before each entry, or [ ] around all, not keys and values",
				"7: parts: want names and values, not a list",
				"8: name: want one value, not a list",
			},
		},
		{
			"a URL with a password isn't said again", "link: 'http://user:pass-canary@192.0.2.1:port/'\n",
			[]string{"1: link: not a URL: write one like http://127.0.0.1:9093"},
		},
		{
			"what a foreign type refuses has a line, too", "name: x\nbasic_auth:\n  username: u\n  pasword: s3cret-canary\ntls_config:\n  min_version: TLS99\n",
			[]string{`4: basic_auth.pasword: unknown field: write "password"`, "6: tls_config.min_version: unknown TLS version: TLS99"},
		},
		{"an entry of nothing", "list:\n-\n- {path: 7s, interval: 7}\n", []string{
			"2: list[0]: is empty: write what belongs here, or leave out the entry",
			`3: list[1].interval: "7" is not a duration: write one like 500ms, 30s, 1h30m or 90d`,
		}},
		{"keys that a merge brings in", "parts:\n  a: &a {interval: 1s, boddy: x}\n  b: {<<: *a, path: /}\n", []string{`2: parts.a.boddy: unknown field: write "body"`}},
		{"an alias that holds itself", "list: &l [*l]\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s sample
			_, found := decode([]byte(c.text), &s)
			var got []string
			for _, m := range found {
				got = append(got, fmt.Sprintf("%d: %s", m.line, m.Mistake.Error()))
			}
			if c.name == "an alias that holds itself" {
				if len(got) == 0 {
					t.Error("want a mistake")
				}
				return
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhatIsRightIsDecodedAroundTheMistakes(t *testing.T) {
	var s sample
	_, found := decode([]byte("name: x\nfall: many\nfoo: 1\nlist:\n- {interval: bad, path: /a}\n- 7\n- {path: /b}\n"), &s)
	if len(found) != 4 {
		t.Errorf("found %v, want 4 mistakes", found)
	}
	want := sample{Name: "x", List: []part{{Path: "/a"}, {}, {Path: "/b"}}}
	if s.Name != want.Name {
		t.Errorf("name %q, want %q", s.Name, want.Name)
	}
	if d := cmp.Diff(want.List, s.List); d != "" {
		t.Error(d)
	}
}

func TestPathsLeadToLines(t *testing.T) {
	root, wrong := parse([]byte("modules:\n  a.b:\n    http:\n      path: /\n  a:\n    b: 1\nlist:\n- x: 1\n- x: 2\n  deep:\n  - y\n  - z\n"))
	if wrong != nil {
		t.Fatal(wrong)
	}
	for path, want := range map[string]int{
		"":                      1,
		"modules":               1,
		"modules.a.b.http.path": 4,
		"modules.a.b":           2,
		"modules.a.c":           5,
		"modules.a.b.http.nope": 3,
		"modules.q":             1,
		"list[0].x":             8,
		"list[1]":               9,
		"list[1].deep[1]":       12,
		"list[1].missing":       9,
		"list[7]":               7,
		"nowhere.at.all":        1,
	} {
		if got := lineOf(root, path); got != want {
			t.Errorf("%s: line %d, want %d", path, got, want)
		}
	}
}

func TestTheLineWhereYAMLEndsIsFound(t *testing.T) {
	good := strings.Repeat("- {a: [1,\n  2], b: 'x\n  y'}\n", 100)
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"an indentation that fits nowhere": {"list:\n" + good + " b: 1\n" + good, 302},
		"a bracket that is never closed":   {good + "- {a: 1\n" + good, 301},
		"the first line":                   {"{\n", 1},
		"nothing wrong":                    {good, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := breaksAt(bytes.SplitAfter([]byte(c.text), []byte("\n"))); got != c.want {
				t.Errorf("line %d, want %d", got, c.want)
			}
		})
	}
}

func TestTheNearestWordIsSuggested(t *testing.T) {
	known := []string{"hold_down", "lease", "max_held", "max_hold", "to", "members"}
	for word, want := range map[string]string{
		"hold-down": "hold_down",
		"Lease":     "lease",
		"max_heldd": "max_held",
		"mebmers":   "members",
		"ot":        "to",
		"colour":    "",
		"x":         "",
	} {
		if got, _ := nearest(word, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func FuzzDecodeFindsALineForEveryMistake(f *testing.F) {
	f.Add("name: x\nevery: 5s\nlist: [{interval: 1s}, 7]\n")
	f.Add("parts:\n  a: &a {interval: 1s, boddy: x}\n  b: {<<: *a, path: /}\n")
	f.Add("tls_config: {min_version: TLS99}\nlink: 'http://[::1'\n")
	f.Fuzz(func(t *testing.T, text string) {
		var s sample
		_, found := decode([]byte(text), &s)
		for _, m := range found {
			if m.line < 1 || m.Text == "" {
				t.Errorf("a mistake without a line or a text: %+v", m)
			}
		}
		if len(found) > 0 {
			return
		}
		var strict sample
		d := yaml.NewDecoder(strings.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&strict); err != nil {
			t.Errorf("the library finds a mistake that we don't: %v", err)
		}
	})
}
