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

// importCommand makes "sluice config import", the parent of its subcommands, once.
func importCommand(app *kingpin.Application) *kingpin.CmdClause {
	parent := configCommand(app)
	if cmd := parent.GetCommand("import"); cmd != nil {
		return cmd
	}
	return parent.Command("import", "Write a configuration from that of another program.")
}

func addConfigImport(app *kingpin.Application) (string, func(streams) error) {
	cmd := importCommand(app).Command("ptaf-script", "From the config.ini of the script that checked PTAF upstreams from cron. What can't be carried over is told on stderr. See docs/migration.md.")
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
	_, s.PasswordFile = besideOf(output)
	if s.body != "" {
		s.BodyFile = strings.TrimSuffix(s.PasswordFile, ".password") + ".body"
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

// besideOf names the configuration, sluice.yml when it goes to stdout, and the
// file beside it that a password goes into.
func besideOf(output string) (file, password string) {
	if output == "" {
		output = "sluice.yml"
	}
	file = filepath.Base(output)
	base := strings.TrimSuffix(file, filepath.Ext(file))
	if base == "" || base == "." {
		base = "sluice"
	}
	return file, base + ".password"
}

// inFolderOf is a file in the folder of output.
func inFolderOf(output, name string) string { return filepath.Join(filepath.Dir(output), name) }

func (s *script) save(w io.Writer, output string, made []byte) error {
	files := []newFile{{inFolderOf(output, s.PasswordFile), []byte(s.password + "\n"), "the password"}}
	if s.BodyFile != "" {
		files = append(files, newFile{inFolderOf(output, s.BodyFile), []byte(s.body), "the body that the probe sends"})
	}
	return saveNew(w, append(files, newFile{output, made, "the configuration"}))
}

// A newFile is one that an import writes.
type newFile struct {
	path string
	text []byte
	what string
}

// saveNew writes all files or none.
func saveNew(w io.Writer, files []newFile) error {
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
