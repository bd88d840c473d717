// Command apidocs makes docs/api.md from the OpenAPI document that the remediator
// serves: what can be asked and ordered over HTTP, for people to read.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluice-project/sluice/remediator/apidoc"
)

const document = "docs/api.md"

func main() {
	check := flag.Bool("check", false, "Write nothing; fail when "+document+" isn't what would be written.")
	root := flag.String("root", ".", "The module's folder.")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "apidocs:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	text, err := page(apidoc.Document())
	if err != nil {
		return err
	}
	path := filepath.Join(root, document)
	if !check {
		return os.WriteFile(path, text, 0o644)
	}
	is, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(is, text) {
		return fmt.Errorf("%s isn't what remediator/apidoc says: run make docs", document)
	}
	return nil
}
