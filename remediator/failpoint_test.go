package remediator

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// I11
func TestEachFailpointIsPassedSomewhere(t *testing.T) {
	marks := regexp.MustCompile(`\.passes\((?:[a-zA-Z.\[\]0-9]+, )?"([a-z_.]+)"\)`)
	var passed []string
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.IsDir() || f.Name() == "failpoint.go" {
			continue
		}
		src, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range marks.FindAllStringSubmatch(string(src), -1) {
			if name := m[1]; regexp.MustCompile(`\.`).MatchString(name) {
				passed = append(passed, name)
			} else {
				passed = append(passed, "take_out."+name, "give_back."+name)
			}
		}
	}
	for _, name := range Failpoints {
		if !slices.Contains(passed, name) {
			t.Errorf("no line passes %s", name)
		}
	}
	for _, name := range passed {
		if !slices.Contains(Failpoints, name) {
			t.Errorf("%s is passed and not listed", name)
		}
	}
}
