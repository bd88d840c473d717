// Command safety makes docs/safety.md: which code keeps each invariant of the
// safety catalogue, and which tests guard it. It reads the sources alone, so
// that the table can't say more than they do.
//
// A test names an invariant by its id, such as I7, in its own name, in its doc
// comment, or in a comment or a text inside it. Code names those that it keeps in a comment, and
// they are credited to the declaration that the comment stands in or before.
//
// An invariant that no test names is an error.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

const document = "docs/safety.md"

func main() {
	check := flag.Bool("check", false, "Write nothing; fail when "+document+" isn't what would be written.")
	root := flag.String("root", ".", "The module's folder.")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "safety:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	found, err := scan(os.DirFS(root))
	if err != nil {
		return err
	}
	wrong, waits := judge(invariants, notYet, found)
	for _, line := range waits {
		fmt.Println("safety:", line)
	}
	text := table(invariants, notYet, found)
	path := filepath.Join(root, document)
	if check {
		is, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Equal(is, text) {
			wrong = append(wrong, fmt.Errorf("%s isn't what the sources say: run make docs", document))
		}
	} else if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	return errors.Join(wrong...)
}
