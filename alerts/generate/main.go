// Command generate writes the rules of alerts/source in the forms that people
// install: plain rule files, a PrometheusRule for the operator of Kubernetes, and
// a mixin in Jsonnet; and the tests of the rules that are made of alerts/scenes.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/alerts/source"
)

func main() {
	check := flag.Bool("check", false, "Write nothing; fail when a file isn't what would be written.")
	dir := flag.String("dir", "alerts", "Folder of the files.")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	files, err := render()
	if err != nil {
		return err
	}
	if check {
		return compare(dir, files)
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compare says which files are not what the source says, the ones that nobody
// writes any more among them.
func compare(dir string, files map[string][]byte) error {
	var wrong []string
	for name, text := range files {
		is, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if !bytes.Equal(is, text) {
			wrong = append(wrong, name)
		}
	}
	for _, pattern := range []string{"*.rules.yml", "tests/scenes_*.yml"} {
		have, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			return err
		}
		for _, path := range have {
			name := filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator)))
			if files[name] == nil {
				wrong = append(wrong, name)
			}
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("%v: not what alerts/source says: run make rules", wrong)
	}
	return nil
}

// render returns all files by their names.
func render() (map[string][]byte, error) {
	out := map[string][]byte{}
	all := source.Files()
	for _, f := range all {
		text, err := ruleFile(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		out[f.Name+".rules.yml"] = text
	}
	manifest, err := prometheusRule(all)
	if err != nil {
		return nil, err
	}
	out["prometheusrule.yml"] = manifest
	if out["mixin.libsonnet"], err = mixin(all); err != nil {
		return nil, err
	}
	tests, err := sceneTests(all)
	if err != nil {
		return nil, err
	}
	maps.Copy(out, tests)
	return out, nil
}
