package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kingpin/v2"
)

func addConfigImport(app *kingpin.Application) (string, func(streams) error) {
	parent := configCommand(app).Command("import", "Write a configuration from that of another program.")
	cmd := parent.Command("ptaf-script", "From the config.ini of the script that checked PTAF upstreams from cron. What can't be carried over is told on stderr. See docs/migration.md.")
	file := cmd.Arg("FILE", "The script's config.ini.").Required().String()
	output := cmd.Flag("output", "Where to write it; the password goes into a file beside it. Nothing is overwritten. Left out: to stdout, without the password.").PlaceHolder("sluice.yml").String()
	return cmd.FullCommand(), func(std streams) error { return importScript(std, *file, *output) }
}

func importScript(std streams, file, output string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s, err := readScript(file, string(text))
	if err != nil {
		for _, line := range asMistakes(err) {
			fmt.Fprintln(std.err, line)
		}
		return errSaid
	}
	s.Beside = output != ""
	base := strings.TrimSuffix(filepath.Base(output), filepath.Ext(output))
	if base == "" || base == "." {
		base = "sluice"
	}
	s.PasswordFile = base + ".password"
	if s.body != "" {
		s.BodyFile = base + ".body"
	}
	made, err := s.yaml()
	if err != nil {
		return err
	}
	if output == "" {
		_, err = std.out.Write(made)
	} else {
		err = s.save(std.out, output, made)
	}
	if err != nil {
		return err
	}
	for _, n := range s.notes {
		fmt.Fprintf(std.err, "%s:%d: %s\n", file, n.line, n.Mistake.Error())
	}
	return nil
}

// save writes all files or none.
func (s *script) save(w io.Writer, output string, made []byte) error {
	beside := func(name string) string { return filepath.Join(filepath.Dir(output), name) }
	type file struct {
		path string
		text []byte
		what string
	}
	files := []file{{beside(s.PasswordFile), []byte(s.password + "\n"), "the password"}}
	if s.BodyFile != "" {
		files = append(files, file{beside(s.BodyFile), []byte(s.body), "the body that the probe sends"})
	}
	files = append(files, file{output, made, "the configuration"})
	for i, f := range files {
		if err := writeNew(f.path, f.text); err != nil {
			for _, done := range files[:i] {
				err = errors.Join(err, os.Remove(done.path))
			}
			return err
		}
	}
	for _, f := range files {
		fmt.Fprintf(w, "%s: written, %s, readable by its owner only\n", f.path, f.what)
	}
	return nil
}

// writeNew never overwrites, nor follows a link that is there already.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already and stays as it is: move it away, or choose another --output", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
