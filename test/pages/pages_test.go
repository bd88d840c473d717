// Package pages holds the pages for operators against the program: what they tell
// people to type is typed here, and what they say of the answer has to come. HAProxy is
// the real one.
package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
)

var (
	sluice string // the program under test
	docs   string // the folder of the pages
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pages:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	root, err := rig.Root()
	if err != nil {
		return 1, err
	}
	docs = filepath.Join(root, "docs")
	dir, err := os.MkdirTemp("", "sluice-pages-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if sluice, err = rig.Build(context.Background(), dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// page is the text of one of the pages.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A server is one running "sluice remediator" or "sluice exporter".
type server struct {
	url, dir string
	process  *rig.Process
}

// start runs a program with a configuration, and ends it with the test.
func start(t *testing.T, command, config string, args ...string) *server {
	t.Helper()
	address, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{url: "http://" + address, dir: short(t)}
	write(t, filepath.Join(s.dir, "sluice.yml"), config)
	args = append([]string{command, "--config.file=" + filepath.Join(s.dir, "sluice.yml"), "--web.listen-address=" + address}, args...)
	if s.process, err = rig.NewProgram(command, s.dir, sluice, args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.process.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", command, s.process.Log(30))
		}
	})
	if err := s.process.StartWeb(t.Context(), s.url+"/-/healthy"); err != nil {
		t.Fatal(err)
	}
	return s
}

// short is a folder whose path is short enough for a socket in it.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shell runs a line of a page as a user would, in a folder, and returns all that
// it printed and its code.
func shell(t *testing.T, dir, line string, environ ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(sluice)+":"+os.Getenv("PATH")+":/usr/sbin", "no_proxy=127.0.0.1")
	cmd.Env = append(cmd.Env, environ...)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return text.String(), exit.ExitCode()
	} else if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return text.String(), 0
}

// prints runs a line that has to succeed and to print something of a form.
func prints(t *testing.T, dir, line, want string, environ ...string) string {
	t.Helper()
	out, code := shell(t, dir, line, environ...)
	if code != 0 || !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("%s\nends with %d and prints %s\nwant %s", line, code, out, want)
	}
	return out
}

// await asks until a page of the server has the words.
func (s *server) await(t *testing.T, path string, words ...string) string {
	t.Helper()
	var body []byte
	err := rig.Await(t.Context(), 20*time.Second, path+" to say "+strings.Join(words, " and "), func(ctx context.Context) error {
		var err error
		if _, body, err = rig.Do(ctx, http.MethodGet, s.url+path, nil); err != nil {
			return err
		}
		for _, w := range words {
			if !strings.Contains(string(body), w) {
				return fmt.Errorf("no %s in %.500s", w, body)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
