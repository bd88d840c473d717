package pages

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
	testserve "github.com/sluice-project/sluice/test/serve"
)

// A block is one that stands between fences on a page.
type block struct{ lang, text string }

var fence = regexp.MustCompile("(?ms)^( *)```([a-z]+)\n(.*?)\n *```$")

// blocks are those of a page, without what a list indents them by.
func blocks(text string) (out []block) {
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		out = append(out, block{m[2], strings.ReplaceAll("\n"+m[3], "\n"+m[1], "\n")[1:]})
	}
	return out
}

// wantLines turns what a page shows of an answer into what to look for: "..." is
// anything, and blanks are as many as there are.
func wantLines(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		parts := strings.Split(line, "...")
		for i, p := range parts {
			words := strings.Fields(p)
			for j, w := range words {
				words[j] = regexp.QuoteMeta(w)
			}
			parts[i] = strings.Join(words, `\s+`)
		}
		lines = append(lines, strings.Join(parts, `.*`))
	}
	return `(?m)^\s*` + strings.Join(lines, `\s*\n(?:.*\n)*?\s*`) + `\s*$`
}

func TestTheCommandsOfTheOperationsPageDoWhatItSays(t *testing.T) {
	text := page(t, "operations.md")
	dir := short(t)
	member := testserve.Handler(t, http.NotFoundHandler(), nil)
	ports := strings.NewReplacer(":9999", ":"+freePort(t), ":9998", ":"+freePort(t), ":11999", ":"+freePort(t))
	group, err := user.LookupGroupId(fmt.Sprint(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	// What the page's HAProxy has, moved to where a test may write.
	config := strings.NewReplacer(
		"/run/haproxy/", dir+"/", "/etc/haproxy/edge1.pem", certificate(t, dir), "/dev/log", "stdout format raw",
		"user haproxy", "user "+me.Username, "group sluice-read", "group "+group.Name, "group sluice", "group "+group.Name,
	)
	var global, defaults []string
	for _, b := range blocks(text) {
		if b.lang != "haproxy" {
			continue
		}
		g, d, _ := strings.Cut(b.text, "\ndefaults\n")
		global, defaults = append(global, strings.TrimPrefix(g, "global\n")), append(defaults, d)
	}
	file := filepath.Join(dir, "haproxy.cfg")
	write(t, file, ports.Replace(config.Replace("global\n"+strings.Join(global, "\n")+"\ndefaults\n"+strings.Join(defaults, "\n")))+
		fmt.Sprintf("\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\nbackend shop\n server web01 %[1]s\n server web02 %[1]s\n server web03 %[1]s\n", member))
	// HAProxy checks the line with "ssl crt" and finds nothing to say.
	prints(t, dir, "haproxy -c -f haproxy.cfg", `^Configuration file is valid\s*$`)
	lb, err := rig.NewProgram("haproxy", dir, "haproxy", "-db", "-f", file)
	if err != nil {
		t.Fatal(err)
	}
	if err := lb.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lb.Kill(); err != nil {
			t.Error(err)
		}
	})
	s := start(t, "remediator", fmt.Sprintf(shop, filepath.Join(dir, "admin.sock")))
	s.await(t, "/api/v1/members", "web01")

	places := strings.NewReplacer(
		"http://127.0.0.1:11011", s.url, ":11011", s.url[strings.LastIndex(s.url, ":"):],
		"/run/haproxy", dir, "/var/log/haproxy.log", filepath.Join(dir, "haproxy.log"),
		"sluice journal export", "sluice journal export --remediator.url="+s.url,
		"sluice ctl drain", "sluice ctl drain --remediator.url="+s.url, "sluice ctl ready", "sluice ctl ready --remediator.url="+s.url, "sluice ctl wait", "sluice ctl wait --remediator.url="+s.url,
	)
	// Paths that the page shows relative to where the remediator runs.
	all := blocks(text)
	typed := 0
	for i, b := range all {
		if b.lang != "sh" {
			continue
		}
		if i+1 == len(all) || all[i+1].lang != "text" {
			t.Errorf("%s\nno text follows that says what is printed", b.text)
			continue
		}
		typed++
		prints(t, s.dir, ports.Replace(places.Replace(b.text)), wantLines(ports.Replace(places.Replace(all[i+1].text))))
	}
	if typed < 15 {
		t.Errorf("%d blocks were typed", typed)
	}
}

// freePort is one that nobody has.
func freePort(t *testing.T) string {
	t.Helper()
	address, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	return address[strings.LastIndex(address, ":")+1:]
}

// certificate makes one, with its key, in one file as HAProxy wants it.
func certificate(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "edge1.pem")
	cmd := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", file+".key", "-out", file, "-days", "1", "-subj", "/CN=edge1.example.com")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v: %s", err, out)
	}
	key, err := os.ReadFile(file + ".key")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(cert)+string(key))
	return file
}
