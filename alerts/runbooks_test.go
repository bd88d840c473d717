package alerts_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/remediator/announce"
)

// Whoever is woken finds a page in their language, with the same parts on each.
func TestEachAlertHasItsRunbooks(t *testing.T) {
	t.Parallel()
	parts := map[string][]string{
		".md":    {"What users feel", "What it means", "What Sluice does by itself", "First three commands", "How to stop it", "How to give back"},
		".ru.md": {"Что чувствуют пользователи", "Что это значит", "Что Sluice делает сам", "Первые три команды", "Как остановить", "Как вернуть"},
	}
	files, err := filepath.Glob("runbooks/*")
	if err != nil {
		t.Fatal(err)
	}
	names := announce.Names // posted by the remediator itself
	for _, r := range readRules(t) {
		names = append(names[:len(names):len(names)], r.Alert)
	}
	for _, name := range names {
		for ending, want := range parts {
			path := filepath.Join("runbooks", name+ending)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
				continue
			}
			files = slices.DeleteFunc(files, func(f string) bool { return f == path })
			lines := strings.Split(string(text), "\n")
			if lines[0] != "# "+name {
				t.Errorf("%s begins with %q", path, lines[0])
			}
			var have []string
			for _, l := range lines {
				if part, ok := strings.CutPrefix(l, "## "); ok {
					have = append(have, part)
				}
			}
			if d := cmp.Diff(want, have[:min(len(have), len(want))]); d != "" {
				t.Errorf("%s (-want +got):\n%s", path, d)
			}
			if n := strings.Count(string(text), "```sh\n"); n == 0 {
				t.Errorf("%s has no commands", path)
			}
		}
	}
	if len(files) > 0 {
		t.Errorf("runbooks of no alert: %q", files)
	}
}
