package pages

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// nobody answers there: no remediator of this machine may hear of what is tried.
const nobody = "http://127.0.0.1:1"

var (
	mention = regexp.MustCompile(`^sluice [a-z ]+$`)
	replica = regexp.MustCompile(`http://192\.0\.2\.\d+:11011`)
	typing  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	inline  = regexp.MustCompile("`(sluice [^`]+)`")
	next    = regexp.MustCompile(` (?:\||&&|\|\||>|#) `)
)

// TestCommandsOfTheRunbooksParse: whoever is woken types what stands there. The real
// program takes each line; that nobody answers at the other end is no mistake of the line.
func TestCommandsOfTheRunbooksParse(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(runbooks(), "*.md"))
	if err != nil || len(files) < 100 {
		t.Fatal(files, err)
	}
	bin := t.TempDir()
	wrapper := fmt.Sprintf(`#!/bin/sh
case "$*" in
*--help | *--remediator.url*) ;;
ctl* | explain* | journal*) exec %[1]s "$@" --remediator.url=%[2]s ;;
esac
exec %[1]s "$@"
`, sluice, nobody)
	if err := os.WriteFile(filepath.Join(bin, "sluice"), []byte(wrapper), 0o700); err != nil { //nolint:gosec // a program has to be executable
		t.Fatal(err)
	}
	from := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range typedIn(string(text)) {
			from[c] = filepath.Base(file)
		}
	}
	if len(from) < 100 {
		t.Fatalf("only %d commands: %v", len(from), from)
	}
	var wait sync.WaitGroup
	turns := make(chan struct{}, 4)
	for c, file := range from {
		wait.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			mentioned := mention.MatchString(c) // a command's name in a sentence
			if mentioned {
				c += " --help"
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", replica.ReplaceAllString(c, nobody))
			cmd.Dir = bin
			cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + bin}
			var said bytes.Buffer
			cmd.Stderr = &said
			if err := cmd.Run(); mentioned && err != nil {
				t.Errorf("%s: %s: %v", file, c, err)
			} else if !mentioned && err == nil {
				t.Errorf("%s: %s: succeeds without anybody to ask", file, c)
			}
			if strings.Contains(said.String(), "try --help") || strings.Contains(said.String(), "yntax error") {
				t.Errorf("%s: %s: %s", file, c, &said)
			}
		})
	}
	wait.Wait()
}

// typedIn are the lines of a page that call the program, each cut at what follows it.
func typedIn(text string) []string {
	var found []string
	for _, block := range typing.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			for _, part := range next.Split(strings.TrimSpace(line)+" ", -1) {
				if strings.HasPrefix(part, "sluice ") {
					found = append(found, strings.TrimSpace(part))
				}
			}
		}
	}
	for _, m := range inline.FindAllStringSubmatch(typing.ReplaceAllString(text, ""), -1) {
		found = append(found, strings.TrimSpace(next.Split(strings.Join(strings.Fields(m[1]), " "), 2)[0]))
	}
	return found
}
