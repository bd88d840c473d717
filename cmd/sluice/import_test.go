package main

import (
	"bytes"
	"encoding/base64"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files of config import")

func TestImportedConfigurationsAreAsExpectedAndGood(t *testing.T) {
	for _, name := range []string{"sample", "post"} {
		t.Run(name, func(t *testing.T) {
			output := filepath.Join(t.TempDir(), "sluice.yml")
			var out, notes bytes.Buffer
			if err := importScript(streams{&out, &notes}, "testdata/import/"+name+".ini", output); err != nil {
				t.Fatalf("%v\n%s", err, notes.String())
			}
			golden(t, name+".yml", readFile(t, output))
			golden(t, name+".notes", notes.String())
			if _, err := load(output); err != nil {
				t.Error(err)
			}
			password := filepath.Join(filepath.Dir(output), "sluice.password")
			if got := readFile(t, password); got != "not-a-real-password\n" {
				t.Errorf("the password file holds %q", got)
			}
			for _, file := range []string{output, password} {
				info, err := os.Stat(file)
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode().Perm() != 0o600 {
					t.Errorf("%s has mode %v", file, info.Mode())
				}
			}
			if said := out.String() + notes.String() + readFile(t, output); strings.Contains(said, "not-a-real") || strings.Contains(said, encoded("sluice:not-a-real-password")) {
				t.Error("the password is told")
			}
		})
	}
}

func TestImportKeepsTheBodyByteForByte(t *testing.T) {
	output := filepath.Join(t.TempDir(), "waf.yml")
	var out, notes bytes.Buffer
	if err := importScript(streams{&out, &notes}, "testdata/import/post.ini", output); err != nil {
		t.Fatal(err)
	}
	// What configparser makes of it: lines without their indentation, the empty one kept.
	const want = "{\n\"ask\": \"all\",\n\n\"deep\": true\n}"
	if got := readFile(t, strings.TrimSuffix(output, ".yml")+".body"); got != want {
		t.Errorf("got %q", got)
	}
}

func TestAnImportThatCannotEndLeavesNothing(t *testing.T) {
	for _, there := range []string{"sluice.yml", "sluice.password", "sluice.body"} {
		t.Run(there+" is there already", func(t *testing.T) {
			dir := t.TempDir()
			if err := writeFile(filepath.Join(dir, there), "mine"); err != nil {
				t.Fatal(err)
			}
			var out, notes bytes.Buffer
			err := importScript(streams{&out, &notes}, "testdata/import/post.ini", filepath.Join(dir, "sluice.yml"))
			if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, there)+" is there already") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
			left, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(left) != 1 || readFile(t, filepath.Join(dir, there)) != "mine" {
				t.Errorf("left %v", left)
			}
		})
	}
}

func TestAWrongConfigINIIsToldByLineWithoutItsValues(t *testing.T) {
	good := readFile(t, "testdata/import/sample.ini")
	line := func(key, with string) string { // the first line that begins with key, replaced
		var out []string
		for _, l := range strings.Split(good, "\n") {
			if key != "" && strings.HasPrefix(l, key) {
				l, key = with, ""
			}
			out = append(out, l)
		}
		return strings.Join(out, "\n")
	}
	cred := func(plain string) string {
		return line("authorization_cred", "authorization_cred = Basic "+encoded(plain))
	}
	for _, tt := range []struct{ name, text, want string }{
		{"an empty file", "", "f:1: there is no section [global]: is this the script's config.ini?\nf:1: there is no section [upstream]: is this the script's config.ini?"},
		{"not INI", "global:\n  ip_mgmt: canary\n", "f:1: want a section such as [global] before anything else: is this the script's config.ini?"},
		{"the script itself", "\n\nimport requests\n", "f:3: want a section such as [global] before anything else: is this the script's config.ini?"},
		{"a line without a value", "[global]\ncanary\n", "f:2: want a key and a value here: write key = value"},
		{"a value without a key", "[global]\n= canary\n", "f:2: there is no key before the value: write key = value"},
		{"a section without a name", "[ ]\n", "f:1: this section has no name: write one, such as [global]"},
		{"a section twice", "[global]\n[upstream]\n[global]\n", "f:3: this section stands here a second time: keep one"},
		{"a key twice", "[global]\nip_mgmt = canary\nIP_MGMT = canary\n", "f:3: this key stands here a second time in its section: keep one"},
		{"no section upstream", strings.SplitN(good, "[upstream]", 2)[0], "f:1: there is no section [upstream]: is this the script's config.ini?"},
		{"a key is missing", line("healthcheck_host", ""), "f:8: upstream.healthcheck_host: is missing: write the name that the check asks for, such as shop.example.com"},
		{"a key is misspelt", line("healthcheck_host", "healtcheck_host = canary"), "f:11: upstream.healtcheck_host: unknown key: write healthcheck_host"},
		{"a value is missing", line("ip_mgmt", "ip_mgmt ="), "f:4: global.ip_mgmt: is empty: write the address of the PTAF's management, such as 192.0.2.10"},
		{"an address with a scheme", line("ip_mgmt", "ip_mgmt = https://canary"), "f:4: global.ip_mgmt: is neither an address nor a name: write it alone, without https:// and port, such as 192.0.2.10"},
		{"an address with a port", line("ip_mgmt", "ip_mgmt = 192.0.2.10:8443"), "f:4: global.ip_mgmt: is neither an address nor a name: write it alone, without https:// and port, such as 192.0.2.10"},
		{"UTF-16", "\xff\xfe[\x00g\x00]\x00canary", "f:1: the file is UTF-16: save it as UTF-8"},
		{"UTF-16, the other way round", "\xfe\xff\x00[\x00g\x00]canary", "f:1: the file is UTF-16: save it as UTF-8"},
		{"another 8-bit encoding", line("healthcheck_path", "healthcheck_path = /canary\xe7"), "f:13: upstream.healthcheck_path: is not UTF-8: save the file as UTF-8"},
		{"an address with a zone", line("ip_mgmt", "ip_mgmt = fe80::1%%canary"), "f:4: global.ip_mgmt: is neither an address nor a name: write it alone, without https:// and port, such as 192.0.2.10"},
		{"another kind of credential", line("authorization_cred", "authorization_cred = Bearer canary"), `f:5: global.authorization_cred: is not of the kind Basic: write the word Basic, a space, and the base64 of USER:PASSWORD, without quotes`},
		{"a credential in quotes", line("authorization_cred", `authorization_cred = "Basic canary"`), `f:5: global.authorization_cred: is not of the kind Basic: write the word Basic, a space, and the base64 of USER:PASSWORD, without quotes`},
		{"a credential that was never encoded", line("authorization_cred", "authorization_cred = Basic sluice:canary"), `f:5: global.authorization_cred: what follows Basic is not base64: write what "printf %s USER:PASSWORD | base64" prints`},
		{"a credential without a colon", cred("canary"), "f:5: global.authorization_cred: has no colon between user and password once decoded: write the base64 of USER:PASSWORD"},
		{"a credential without a password", cred("canary:"), "f:5: global.authorization_cred: has an empty user or password once decoded: write the base64 of USER:PASSWORD"},
		{"a credential of raw bytes", cred("\xff\x00:canary"), "f:5: global.authorization_cred: the user holds bytes that no name has once decoded: write the base64 of USER:PASSWORD in UTF-8"},
		{"a password with a line break at its end", cred("sluice:canary\n"), "f:5: global.authorization_cred: the password begins or ends with a space, or holds a line break, which a password file can't: give the user another one"},
		{"an id in quotes", line("id_upstreams", `id_upstreams = "64f0c0ffee0123456789abcd"`), "f:10: upstream.id_upstreams: is not the id of one upstream: write its 24 hex digits, without quotes; further upstreams belong under upstreams of the device"},
		{"a name for an id", line("id_upstreams", "id_upstreams = canary"), "f:10: upstream.id_upstreams: is not the id of one upstream: write its 24 hex digits, without quotes; further upstreams belong under upstreams of the device"},
		{"a URL for a host", line("healthcheck_host", "healthcheck_host = http://canary"), "f:11: upstream.healthcheck_host: is not the name of a host: write one such as shop.example.com, without http:// and path"},
		{"another protocol", line("upstream_protocol", "upstream_protocol = canary://"), "f:12: upstream.upstream_protocol: is neither http:// nor https://: write one of them"},
		{"a comment behind a value belongs to it", line("upstream_protocol", "upstream_protocol = http:// ; plain"), "f:12: upstream.upstream_protocol: is neither http:// nor https://: write one of them"},
		{"a path without a slash", line("healthcheck_path", "healthcheck_path = canary"), "f:13: upstream.healthcheck_path: is not a path: begin it with a slash, as in /health, and write no spaces"},
		{"a path that no URL has", line("healthcheck_path", "healthcheck_path = /%zz"), "f:13: upstream.healthcheck_path: is not a path: begin it with a slash, as in /health, and write no spaces"},
		{"a value taken from another", line("healthcheck_path", "healthcheck_path = /%(canary)s"), "f:13: upstream.healthcheck_path: takes in another value by %(...)s: write the value itself here"},
		{"all mistakes in one run", "[global]\n[upstream]\nid_upstreams=canary\nhealthcheck_host=a\nupstream_protocol=canary\n", "f:1: global.ip_mgmt: is missing: write the address of the PTAF's management, such as 192.0.2.10\n" +
			"f:1: global.authorization_cred: is missing: write the word Basic and the base64 of USER:PASSWORD\n" +
			"f:3: upstream.id_upstreams: is not the id of one upstream: write its 24 hex digits, without quotes; further upstreams belong under upstreams of the device\n" +
			"f:5: upstream.upstream_protocol: is neither http:// nor https://: write one of them"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readScript("f", tt.text)
			if err == nil {
				t.Fatal("it was taken")
			}
			if diff := cmp.Diff(tt.want, strings.Join(asMistakes(err), "\n")); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Error("a value is told")
			}
		})
	}
}

func TestWhatIsNotCarriedOverIsNamedWithoutItsValue(t *testing.T) {
	const text = "[global]\nip_mgmt=2001:db8::1\nauthorization_cred=Basic\tc2x1aWNlOm5vdC1hLXJlYWwtcGFzc3dvcmQ=\nthe secret/canary: 1\npayload_ptaf = canary\n" +
		"[upstream]\ntest_mode=canary\nid_upstreams=64F0C0FFEE0123456789ABCD\nhealthcheck_host=[2001:db8::2]:80\nupstream_protocol=https://\nverify=canary\n" +
		"[canary canary]\nx=y\n[logging]\n"
	s, err := readScript("dir/f.ini", text)
	if err != nil {
		t.Fatal(err)
	}
	if s.URL() != "https://[2001:db8::1]:8443/api/waf/v2" || s.Upstream != "64f0c0ffee0123456789abcd" || s.Path != "/health" || s.TestMode != "" {
		t.Errorf("got %s, %s, %s, %q", s.URL(), s.Upstream, s.Path, s.TestMode)
	}
	var lines []int
	var told []string
	for _, n := range s.notes {
		lines = append(lines, n.line)
		told = append(told, n.Mistake.Error())
	}
	if diff := cmp.Diff([]int{4, 5, 7, 11, 12, 14}, lines); diff != "" {
		t.Error(diff)
	}
	if all := strings.Join(told, "\n"); strings.Contains(all, "canary") || !strings.Contains(all, "global....: not carried over") || !strings.Contains(all, "[logging]: not carried over") {
		t.Error(all)
	}
}

// The same file, as other systems and people save it.
func TestAConfigINIIsTheSameHoweverItIsSaved(t *testing.T) {
	plain := readFile(t, "testdata/import/post.ini")
	want, err := readScript("f.ini", plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a mark at its start":            "\ufeff" + plain,
		"line ends of Windows":           strings.ReplaceAll(plain, "\n", "\r\n"),
		"both":                           "\ufeff" + strings.ReplaceAll(plain, "\n", "\r\n"),
		"a comment in an 8-bit encoding": strings.Replace(plain, "\n", "\n; \xef\xf0\xee\xe2\xe5\xf0\xea\xe0\n", 1),
		"no line end at its end":         strings.TrimRight(plain, "\n"),
		"keys in capitals":               strings.Replace(plain, "upstream_protocol", "UPSTREAM_Protocol", 1),
		"colons":                         strings.Replace(plain, "IP_MGMT =", "IP_MGMT:", 1),
		"spaces behind values":           strings.ReplaceAll(plain, "https://\n", "https:// \t \n"),
		"more of them in the credential": strings.Replace(plain, "Basic ", "basic \t ", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if text == plain {
				t.Fatal("nothing is different")
			}
			got, err := readScript("f.ini", text)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []*script{got, want} {
				for i := range s.notes {
					s.notes[i].line = 0
				}
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(script{}, lineMistake{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWithoutOutputThePasswordIsAskedFor(t *testing.T) {
	var out, notes bytes.Buffer
	if err := importScript(streams{&out, &notes}, "testdata/import/post.ini", ""); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Write the password, decoded, into this file", "password_file: sluice.password\n", "Write payload_healthcheck into this file", "body_file: sluice.body\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if said := out.String() + notes.String(); strings.Contains(said, "not-a-real") || strings.Contains(said, encoded("sluice:not-a-real-password")) || strings.Contains(said, `"ask"`) {
		t.Error("a secret is told")
	}
	if _, found := decode(out.Bytes(), new(config)); len(found) > 0 {
		t.Error(found)
	}
}

// Whatever is taken makes a configuration that our own check takes, too, and
// tells the password to nobody.
func FuzzImport(f *testing.F) {
	for _, name := range []string{"sample", "post"} {
		text, err := os.ReadFile("testdata/import/" + name + ".ini")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := readScript("config.ini", text)
		if err != nil {
			if lines := asMistakes(err); len(lines) == 0 || strings.Contains(lines[0], "\n") {
				t.Fatalf("no lines in %q", err)
			}
			return
		}
		if s.Username == "" || s.password == "" || s.Upstream == "" || s.Host == "" || s.Address == "" {
			t.Fatalf("something is missing in %+v", s)
		}
		s.PasswordFile = "sluice.password"
		made, err := s.yaml()
		if err != nil {
			t.Fatal(err)
		}
		var c config
		root, found := decode(made, &c)
		if root == nil || len(found) > 0 {
			t.Fatalf("%v in\n%s", found, made)
		}
		c.setDirectory(t.TempDir())
		if wrong := c.validate(); len(wrong) > 0 {
			t.Fatalf("%v in\n%s", wrong, made)
		}
		h := c.Exporter.Modules["health"].HTTP
		if diff := cmp.Diff([]string{s.Host, s.Path}, []string{h.Headers["Host"], h.Path}); diff != "" {
			t.Error(diff)
		}
	})
}

func encoded(plain string) string { return base64.StdEncoding.EncodeToString([]byte(plain)) }

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "import", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(readFile(t, path), got); diff != "" {
		t.Errorf("%s, -want +got (-update writes it anew):\n%s", path, diff)
	}
}
