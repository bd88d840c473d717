package main

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"

	"github.com/sluice-project/sluice/test/rig"
)

// number is the first thing in an answer to --version that looks like one.
var number = regexp.MustCompile(`(?i)version (\S*?),? `)

// versions asks each part for its own.
func versions(ctx context.Context, sluice string) ([][2]string, error) {
	var out [][2]string
	for _, part := range []struct {
		name, program, flag string
	}{
		{"Sluice", sluice, "--version"},
		{"HAProxy", "haproxy", "-v"},
		{"Prometheus", "prometheus", "--version"},
		{"Alertmanager", "prometheus-alertmanager", "--version"},
	} {
		path, err := rig.Find(part.program)
		if err != nil {
			return nil, err
		}
		text, err := exec.CommandContext(ctx, path, part.flag).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		found := number.FindSubmatch(text)
		if found == nil {
			return nil, fmt.Errorf("%s doesn't say its version: %q", part.name, text)
		}
		out = append(out, [2]string{part.name, cmp.Or(string(found[1]), "of no release")})
	}
	return append(out, [2]string{"machine", fmt.Sprintf("%s, %d processors", runtime.GOOS, runtime.NumCPU())}), nil
}
