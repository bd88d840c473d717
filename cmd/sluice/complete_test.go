package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kingpin/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/ctl"
)

// startRoster answers as a remediator with three members does, and has the commands
// of this test find it.
func startRoster(t *testing.T) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"success": true, "data": map[string]any{"members": []any{
			map[string]any{"member": map[string]string{"device": "edge1", "pool": "shop", "member": "app1"}, "admin": "drain"},
			map[string]any{"member": map[string]string{"device": "edge1", "pool": "shop", "member": "app 2"}, "admin": "ready"},
			map[string]any{"member": map[string]string{"device": "waf1", "pool": "shop", "member": "192.0.2.1:8080"}, "admin": "ready"},
		}}})
	}))
	t.Cleanup(s.Close)
	t.Setenv(envURL, s.URL)
}

func TestWordsAreCompleted(t *testing.T) {
	startRoster(t)
	for _, tt := range []struct{ line, want string }{
		{"jour", "journal"},
		{"ctl ma", "maint maintenance"},
		{"ctl maintenance ", "list add remove"},
		{"ctl drain ", "edge1/shop/app1 edge1/shop/app%202 waf1/shop/192.0.2.1:8080"},
		{"ctl drain waf1/", "waf1/shop/192.0.2.1:8080"},
		{"ctl drain edge1/shop/app1 ", ""},
		{"ctl drain --reason why edge1/shop/app1", "edge1/shop/app1"},
		{"ctl drain --reason ", ""},
		{"ctl drain --over", "--override"},
		{"ctl drain --override min", "min_serving"},
		{"ctl drain --override=lo", "--override=load"},
		{"ctl -o js", "json"},
		{"ctl --output yaml rolling-restart ", "edge1/shop waf1/shop"},
		{"ctl rolling-restart edge1/shop -- ", ""},
		{"ctl rolling-restart edge1/shop --from waf", "waf1/shop/192.0.2.1:8080"},
		{"ctl freeze ", "edge1 edge1/shop waf1 waf1/shop"},
		{"ctl members edge1", "edge1 edge1/shop edge1/shop/app1 edge1/shop/app%202"},
		{"ctl members --wat", "--watch"},
		{"ctl wait --state ", "ready drain maint"},
		{"ctl drain --remediator.url http://127.0.0.1:1 ", ""}, // where nobody answers
		{"ctl nonsense x", ""},
		{"completion ", "bash zsh fish"},
		{"__complete", ""},
	} {
		var out, errs strings.Builder
		if code := sluice(append([]string{completeWord}, strings.Split(tt.line, " ")...), &out, &errs); code != 0 || errs.Len() > 0 {
			t.Errorf("%q: %d %s", tt.line, code, errs.String())
		}
		var got []string
		for l := range strings.Lines(out.String()) {
			word, _, _ := strings.Cut(strings.TrimRight(l, "\n"), "\t")
			got = append(got, word)
		}
		want := strings.Fields(tt.want)
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(strings.Join(want, " "), strings.Join(got, " ")); d != "" {
			t.Errorf("%q: %s", tt.line, d)
		}
	}
	var out strings.Builder
	sluice([]string{completeWord}, &out, &out)
	if !strings.Contains(out.String(), "ctl\tLook at members") {
		t.Errorf("without a word: %s", out.String())
	}
}

// Each shell runs the script that we print for it, as it would at a prompt.
func TestShellsComplete(t *testing.T) {
	startRoster(t)
	for _, tt := range []struct{ name, shell, script string }{
		{"bash", "bash", `source <(sluice completion bash)
complete -p sluice >/dev/null || exit 1
try() { COMP_LINE=$1 COMP_POINT=${#1}; COMP_WORDS=() COMP_CWORD=0; _sluice; echo "${COMPREPLY[*]}"; }
try 'sluice ctl dra'
try 'sluice ctl drain '
try 'sluice ctl drain waf1/shop/192.0.2.1:80'`},
		{"zsh", "zsh", `compdef() { [[ "$*" == "_sluice sluice" ]] || exit 1 }
compadd() { print -r -- "${found[*]}" }
_files() { print files }
source <(sluice completion zsh)
try() { words=("$@") CURRENT=$#; _sluice }
try sluice ctl dra
try sluice ctl drain ''
try sluice ctl drain waf1/shop/192.0.2.1:80`},
		{"fish", "fish", `sluice completion fish | source
for line in 'sluice ctl dra' 'sluice ctl drain ' 'sluice ctl drain waf1/shop/192.0.2.1:80'
    complete -C $line | string replace -r '\t.*' '' | string join ' '
end
true`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := map[string][]string{"bash": {"--norc", "-c"}, "zsh": {"-f", "-c"}, "fish": {"--no-config", "-c"}}[tt.shell]
			cmd := exec.CommandContext(t.Context(), tt.shell, append(args, tt.script)...)
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var got []string
			for l := range strings.Lines(string(out)) {
				words := strings.Fields(l)
				slices.Sort(words)
				got = append(got, strings.Join(words, " "))
			}
			last := "waf1/shop/192.0.2.1:8080"
			if tt.shell == "bash" {
				last = "8080" // behind what bash takes for the end of a word
			}
			want := []string{"drain", "edge1/shop/app%202 edge1/shop/app1 waf1/shop/192.0.2.1:8080", last}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s\n%s", d, out)
			}
		})
	}
}

func TestTheManPageIsGoodRoff(t *testing.T) {
	var page strings.Builder
	if code := sluice([]string{"man"}, &page, &page); code != 0 {
		t.Fatal(page.String())
	}
	for _, want := range []string{`.SS "sluice ctl rolling\-restart POOL COMMAND ..."`, `.SS "sluice ctl freeze [SCOPE]"`, "SLUICE_REMEDIATOR_URL", "EXIT STATUS", `\fB\-w, \-\-watch\fR`} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("want %s", want)
		}
	}
	dated := strings.Replace(page.String(), `.TH "SLUICE" "1" ""`, `.TH "SLUICE" "1" "2026-01-02"`, 1) // only a release has a day
	cmd := exec.CommandContext(t.Context(), "mandoc", "-T", "lint", "-W", "style")
	cmd.Stdin = strings.NewReader(dated)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestTheGuideNamesEachCommandAndExitCode(t *testing.T) {
	b, err := os.ReadFile("../../docs/ctl.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(b), "\n## Commands\n")
	if !found {
		t.Fatal("the guide has no list of commands")
	}
	commands, codes, _ := strings.Cut(rest, "\n## Exit codes\n")
	app := kingpin.New("sluice", "")
	for name := range addCtl(app) {
		name = strings.TrimPrefix(name, "ctl ")
		if !strings.Contains(commands, "`"+name+"`") && !strings.Contains(commands, "`"+name+" ") {
			t.Errorf("the guide doesn't name %s", name)
		}
	}
	for _, code := range []int{ctl.ExitDone, ctl.ExitError, ctl.ExitRefused, ctl.ExitNotFound, ctl.ExitTimeout, ctl.ExitDenied, ctl.ExitCommand, ctl.ExitUnsettled, ctl.ExitInterrupted} {
		row, word := fmt.Sprintf("\n| %d | ", code), fmt.Sprintf(" %d ", code)
		if help := ctl.ExitCodes; !strings.Contains(codes, row) || !strings.Contains(help, word) {
			t.Errorf("exit code %d isn't told", code)
		}
	}
}
