// Command generate writes the boards of dashboards/source as files: those that
// Grafana reads by itself (provisioning), and those that people import by hand.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-project/sluice/dashboards/source"
)

// imports is where boards lie that ask for their data source.
const imports = "import"

func main() {
	c := source.Default
	check := flag.Bool("check", false, "Write nothing; fail when a file isn't what would be written.")
	dir := flag.String("dir", "dashboards", "Folder of the files.")
	flag.StringVar(&c.Console, "console", c.Console, "URL of your remediator, to which boards link.")
	flag.StringVar(&c.Runbooks, "runbooks", c.Runbooks, "URL of your runbooks, to which boards link.")
	flag.Parse()
	if err := run(*dir, c, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(dir string, c source.Config, check bool) error {
	files, err := render(c)
	if err != nil {
		return err
	}
	if check {
		return compare(dir, files)
	}
	if err := os.MkdirAll(filepath.Join(dir, imports), 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// render gives each file's text.
func render(c source.Config) (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, b := range source.Boards(c) {
		var err error
		if files[name], err = b.JSON(); err != nil {
			return nil, err
		}
		if files[filepath.Join(imports, name)], err = b.Import().JSON(); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// compare says which files aren't what the source says, and which nobody writes.
func compare(dir string, files map[string][]byte) error {
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		is, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if !bytes.Equal(is, files[name]) {
			wrong = append(wrong, name)
		}
	}
	for _, pattern := range []string{"*.json", filepath.Join(imports, "*.json")} {
		have, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range have {
			name, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			if _, ours := files[name]; !ours {
				wrong = append(wrong, name)
			}
		}
	}
	if wrong != nil {
		return fmt.Errorf("%v in %s: not what dashboards/source says; run make boards", wrong, dir)
	}
	return nil
}
