package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/dashboards/source"
)

func TestTheFilesAreWhatTheSourceSays(t *testing.T) {
	t.Parallel()
	if err := run("..", source.Default, true); err != nil {
		t.Error(err)
	}
}

// A file that was changed by hand, and one that nobody writes, are told apart
// from those that are right.
func TestCheckFindsWhatIsOtherwise(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := run(dir, source.Default, false); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, source.Default, true); err != nil {
		t.Fatalf("just written: %v", err)
	}
	for _, name := range []string{"pool.json", "import/old.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := run(dir, source.Default, true)
	if err == nil || !strings.Contains(err.Error(), "[pool.json import/old.json]") {
		t.Errorf("check says %v, want pool.json and import/old.json", err)
	}
}

// Where the console is, the installation says.
func TestTheConsoleIsWhereItWasSaid(t *testing.T) {
	t.Parallel()
	files, err := render(source.Config{Console: "https://sluice.example.com", Runbooks: "https://wiki.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if strings.Contains(string(text), source.Default.Console) || !strings.Contains(string(text), `"https://sluice.example.com"`) {
			t.Errorf("%s doesn't lead to the console that was named", name)
		}
	}
}
