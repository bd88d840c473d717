// Command mutate proves that each guard is guarded: it takes out one after the
// other, in a copy of the source that only the compiler sees, and runs the tests
// that should notice. A mutant that all tests pass with is a survivor, and an
// error: the next change could take the same guard out by accident.
//
// Three kinds are made. Every row of the guards' tables says yes to everything;
// every branch that gives a reason is skipped; and each edit of a list takes out a
// safety that is no guard. The first two are found in the source, so that a new
// guard is mutated with no line here.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

const document = "docs/mutation.md"

func main() {
	only := flag.String("only", "", "Mutants whose name matches this regular expression; the report isn't written then, but for -keep.")
	keep := flag.Bool("keep", false, "With -only: write the report, with the last outcome of the mutants that weren't tried.")
	list := flag.Bool("list", false, "Print the mutants and run nothing.")
	jobs := flag.Int("jobs", 2, "How many mutants are tried at once.")
	root := flag.String("root", ".", "The module's folder.")
	flag.Parse()
	if err := run(*root, *only, *list, *keep, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(root, only string, list, keep bool, jobs int) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	all, err := mutants(root)
	if err != nil {
		return err
	}
	every := all
	if only != "" {
		pattern, err := regexp.Compile(only)
		if err != nil {
			return err
		}
		all = matching(all, pattern)
	}
	if list {
		for _, m := range all {
			fmt.Println(m.name())
		}
		return nil
	}
	start := time.Now()
	results, err := tryAll(ctx, root, all, jobs)
	if err != nil {
		return err
	}
	took := time.Since(start)
	fmt.Printf("%s in %s\n", count(results), took.Round(time.Second))
	if only == "" || keep {
		path := filepath.Join(root, filepath.FromSlash(document))
		last, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(path, report(withEarlier(every, results, string(last))), 0o644); err != nil {
			return err
		}
	}
	return verdict(results)
}

// mutants are all, the guards' first.
func mutants(root string) ([]mutant, error) {
	guards, err := ofGuards(root)
	if err != nil {
		return nil, err
	}
	others, err := ofEdits(root, edits)
	return append(guards, others...), err
}

func matching(all []mutant, pattern *regexp.Regexp) (out []mutant) {
	for _, m := range all {
		if pattern.MatchString(m.name()) {
			out = append(out, m)
		}
	}
	return out
}

// tryAll checks first that the tests pass with nothing taken out: a suite that is
// red anyway would kill every mutant.
func tryAll(ctx context.Context, root string, all []mutant, jobs int) ([]result, error) {
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // of our own making; what stays behind is in the folder for such
	t, err := newTester(ctx, root, dir, all)
	if err != nil {
		return nil, err
	}
	results := make([]result, len(all))
	next := make(chan int)
	var working sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range max(1, jobs) {
		working.Go(func() {
			for i := range next {
				results[i] = t.try(ctx, all[i])
				mu.Lock()
				done++
				fmt.Printf("%3d/%d %s\n", done, len(all), results[i])
				mu.Unlock()
			}
		})
	}
	for i := range all {
		if ctx.Err() == nil {
			next <- i
		}
	}
	close(next)
	working.Wait()
	return results, ctx.Err()
}

// verdict is an error for each survivor and for each mutant that is none.
func verdict(results []result) error {
	var all []error
	for _, r := range results {
		switch r.outcome {
		case survived:
			all = append(all, fmt.Errorf("%s: no test noticed", r.name()))
		case broken:
			all = append(all, fmt.Errorf("%s: doesn't compile: %s", r.name(), r.by))
		}
	}
	return errors.Join(all...)
}
