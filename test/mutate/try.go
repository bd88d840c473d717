package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// The outcomes of a mutant.
const (
	killed   = "killed"
	survived = "survived"
	broken   = "broken"    // it doesn't compile: an error of the program
	untried  = "not tried" // neither now nor in the last report
)

// A result is what became of one mutant.
type result struct {
	mutant
	outcome string
	by      string // the first test that failed
	earlier bool   // by the last report
}

func (r result) String() string {
	if r.by == "" {
		return r.outcome + ": " + r.name()
	}
	return r.outcome + ": " + r.name() + ": " + r.by
}

// slow are tests of parts that no mutant changes, or that start real programs:
// they cost more than they could find.
const slow = `^(TestReal|TestJournalIsItsModel$|TestEveryPageHeaderDamaged|TestWhatWasAcknowledgedSurvivesAKill|TestSim)`

// A tester runs tests with a mutant in place of a file.
type tester struct {
	root  string
	rapid map[string]bool   // packages whose tests know rapid's flags
	hints map[string]string // mutant -> the test that the last report names
	sound *build            // with nothing taken out
}

// newTester runs each package's tests with nothing taken out. What it builds of that
// is in a folder of the caller's.
func newTester(ctx context.Context, root, dir string, all []mutant) (*tester, error) {
	t := &tester{root: root, rapid: map[string]bool{}, hints: map[string]string{}, sound: &build{dir: dir}}
	last, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(document)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	t.hints = hints(string(last))
	var pkgs []string
	for _, m := range all {
		pkgs = append(pkgs, m.pkgs...)
	}
	slices.Sort(pkgs)
	for _, p := range slices.Compact(pkgs) {
		list := exec.CommandContext(ctx, "go", "list", "-deps", "-test", p)
		list.Dir, list.Stderr = root, os.Stderr
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list %s: %w", p, err)
		}
		t.rapid[p] = slices.Contains(strings.Fields(string(out)), "pgregory.net/rapid")
		if out, err := t.test(ctx, t.sound, p); err != nil {
			return nil, fmt.Errorf("%s is red with nothing taken out: %w\n%s", p, err, out)
		}
	}
	return t, nil
}

// test runs one package's tests. It doesn't end them itself: they end by their own
// limit. The package is built once for each mutant.
func (t *tester) test(ctx context.Context, b *build, pkg string, more ...string) ([]byte, error) {
	binary, out, err := t.built(ctx, b, pkg)
	if err != nil {
		return fmt.Appendf(out, "\nFAIL\t%s [build failed]\n", pkg), err
	}
	args := []string{"-test.failfast", "-test.short", "-test.timeout=5m", "-test.skip=" + slow}
	args = append(args, more...)
	if t.rapid[pkg] { // it would leave a file in the tree for each mutant
		args = append(args, "-rapid.nofailfile")
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = filepath.Join(t.root, filepath.FromSlash(pkg))
	cmd.Env = append(os.Environ(), "PWD="+cmd.Dir)
	own(cmd)
	out, err = cmd.CombinedOutput()
	return out, errors.Join(err, end(cmd))
}

// A build is a folder for what is made of the program once: with one mutant in it, or
// with nothing taken out where overlay is empty.
type build struct {
	dir, overlay string

	mu sync.Mutex
}

// built is a package's test program. What the compiler said comes with an error.
func (t *tester) built(ctx context.Context, b *build, pkg string) (binary string, out []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	binary = filepath.Join(b.dir, strings.NewReplacer("/", "_", ".", "").Replace(pkg)+".test")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil, nil
	}
	args := []string{"test", "-c", "-vet=off", "-o", binary}
	if b.overlay != "" {
		args = append(args, "-overlay="+b.overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = t.root
	own(cmd)
	out, err = cmd.CombinedOutput()
	return binary, out, errors.Join(err, end(cmd))
}

// try asks the test that noticed the last time, then those that name the mutant's
// invariants, and then all tests of the packages, one after the other, up to the
// first failure.
func (t *tester) try(ctx context.Context, m mutant) result {
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return result{mutant: m, outcome: broken, by: err.Error()}
	}
	defer os.RemoveAll(dir) // of our own making; what stays behind is in the folder for such
	b := &build{dir: dir}
	if b.overlay, err = lay(dir, t.root, m); err != nil {
		return result{mutant: m, outcome: broken, by: err.Error()}
	}
	if pkg, top, ok := t.hint(m); ok {
		if out, err := t.alone(ctx, b, pkg, top); err != nil {
			if outcome, by, _ := judge(pkg, string(out), err); outcome == killed && t.counts(ctx, by, pkg, top) {
				return result{mutant: m, outcome: outcome, by: by}
			}
		}
	}
	if named := namers(m.ids); named != "" {
		if outcome, by := t.tryPackage(ctx, b, m.pkgs[0], "-test.run="+named); outcome != survived {
			return result{mutant: m, outcome: outcome, by: by}
		}
	}
	for _, p := range m.pkgs {
		if outcome, by := t.tryPackage(ctx, b, p); outcome != survived {
			return result{mutant: m, outcome: outcome, by: by}
		}
	}
	return result{mutant: m, outcome: survived}
}

// tries bounds how often a failure is asked to repeat itself.
const tries = 3

// tryPackage believes a failure only when the same test fails once more by
// itself: a test that fails now and then would hide that nobody noticed.
func (t *tester) tryPackage(ctx context.Context, b *build, pkg string, more ...string) (outcome, by string) {
	for range tries {
		out, err := t.test(ctx, b, pkg, more...)
		if err == nil {
			return survived, ""
		}
		outcome, by, top := judge(pkg, string(out), err)
		if outcome != killed || top == "" {
			return outcome, by
		}
		if _, err := t.alone(ctx, b, pkg, top); err != nil && t.counts(ctx, by, pkg, top) {
			return outcome, by
		}
	}
	return survived, ""
}

// neverEnds marks a test that ran into its time limit.
const neverEnds = " (never ends)"

// counts says whether a failure is the mutant's. One by the time limit alone is,
// when the same test ends within the same limit with nothing taken out, right
// after: on a machine that is busy with others everything is slow.
func (t *tester) counts(ctx context.Context, by, pkg, top string) bool {
	if !strings.HasSuffix(by, neverEnds) {
		return true
	}
	_, err := t.alone(ctx, t.sound, pkg, top)
	return err == nil
}

// namers is a pattern of the tests that name one of the invariants; empty when
// there are none.
func namers(ids string) string {
	numbers := invariants.FindAllString(ids, -1)
	if numbers == nil {
		return ""
	}
	return "^Test(" + strings.Join(numbers, "|") + ")[A-Z]"
}

// alone runs one test by itself.
func (t *tester) alone(ctx context.Context, b *build, pkg, top string) ([]byte, error) {
	return t.test(ctx, b, pkg, "-test.timeout=1m", "-test.run=^"+top+"$")
}

// hint is the test that noticed this mutant the last time.
func (t *tester) hint(m mutant) (pkg, top string, ok bool) {
	dir, test, ok := strings.Cut(t.hints[m.name()], ".")
	top, _, _ = strings.Cut(test, "/")
	top, _, _ = strings.Cut(top, " ")
	return "./" + dir, top, ok && slices.Contains(m.pkgs, "./"+dir)
}

// lay writes the mutant and the file that tells the compiler of it.
func lay(dir, root string, m mutant) (string, error) {
	mutated := filepath.Join(dir, "mutant.go")
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, filepath.FromSlash(m.file)): mutated}})
	if err != nil {
		return "", err
	}
	return overlay, errors.Join(os.WriteFile(mutated, m.text, 0o600), os.WriteFile(overlay, text, 0o600))
}

var (
	failed  = regexp.MustCompile(`(?m)^( *)--- FAIL: (\S+)`)
	running = regexp.MustCompile(`running tests:\s+(\S+)`)

	invariants = regexp.MustCompile(`\bI\d+\b`)
	noBuild    = regexp.MustCompile(`(?m)^FAIL\t\S+ \[(build|setup) failed\]`)
)

// judge reads what go test said when it failed: what became of the mutant, by
// which test, and the name of that test's function where one failed by itself.
func judge(pkg, out string, err error) (outcome, by, top string) {
	dir := strings.TrimPrefix(pkg, "./")
	if noBuild.MatchString(out) {
		return broken, strings.Join(strings.Fields(out), " "), ""
	}
	if m := running.FindStringSubmatch(out); m != nil {
		top, _, _ = strings.Cut(m[1], "/")
		return killed, dir + "." + m[1] + neverEnds, top
	}
	all := failed.FindAllStringSubmatch(out, -1)
	if all == nil {
		if strings.Contains(out, "panic: ") {
			return killed, dir + " (panics)", ""
		}
		return broken, err.Error() + ": " + strings.Join(strings.Fields(out), " "), ""
	}
	name := all[0]
	for _, m := range all[1:] { // the innermost test of the first that failed
		if len(m[1]) <= len(name[1]) {
			break
		}
		name = m
	}
	top, _, _ = strings.Cut(name[2], "/")
	return killed, dir + "." + name[2], top
}
