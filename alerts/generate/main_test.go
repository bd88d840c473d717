package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesAreWhatTheSourceSays(t *testing.T) {
	t.Parallel()
	if err := run("..", true); err != nil {
		t.Error(err)
	}
}

func TestCheckNoticesWhatWasEdited(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := run(dir, false); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, true); err != nil {
		t.Errorf("just written: %v", err)
	}
	for name, text := range map[string]string{"haproxy.rules.yml": "groups: []\n", "forgotten.rules.yml": "groups: []\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := run(dir, true)
	if err == nil || !strings.Contains(err.Error(), "[forgotten.rules.yml haproxy.rules.yml]") {
		t.Errorf("error %v names not both files", err)
	}
}

// TestFormatted: what Jsonnet's formatting makes of the text is what stands in plain files.
func TestFormatted(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`50% of it`:                         `'50% of it'`,
		`50% of %(errorShare)s`:             `'50%% of %(errorShare)s' % $._config`,
		"it's \"x\" and \\d\n":              `'it\'s "x" and \\d\n'`,
		`{{ $value | humanizePercentage }}`: `'{{ $value | humanizePercentage }}'`,
	} {
		if got := formatted(in); got != want {
			t.Errorf("formatted(%q) = %s, want %s", in, got, want)
		}
	}
}
