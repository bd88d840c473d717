package announce

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		text    string
		without bool // alertmanagers
		wrong   string
		off     bool
	}{
		{"", false, "", false},
		{"", true, "", false}, // nobody asked for it
		{"announce: off", false, "", true},
		{"announce: off", true, "", true},
		{"announce: {steps: false}", false, "", false},
		{"announce: {steps: false}", true, "needs alertmanagers", false},
		{"announce: on", false, `"on": write off, or a section`, false},
		{"announce: false", false, `"false": write off, or a section`, false},
		{"announce: {stps: false}", false, "field stps not found", false},
		{"announce: {steps: 3}", false, "cannot unmarshal", false},
		{"announce: {after: -1}", false, "-1: write a number of steps from 1 to 100", false},
		{"announce: {after: 101}", false, "101: write a number", false},
		{"announce: {refused_for: 0s}", false, "", false}, // as if it were left out
		{"announce: {refused_for: soon}", false, "not a valid duration", false},
		{"announce: {repeat: 500ms}", false, "500ms: write a time from 1s to 1h", false},
		{"announce: {repeat: 2h}", false, "2h: write a time from 1s to 1h", false},
	} {
		var file struct {
			Announce Config `yaml:"announce,omitempty"`
		}
		dec := yaml.NewDecoder(strings.NewReader(tt.text + "\n"))
		dec.KnownFields(true)
		var got string
		if err := dec.Decode(&file); err != nil && tt.text != "" {
			got = err.Error()
		} else {
			for _, m := range file.Announce.Validate(!tt.without) {
				got += m.Text
			}
		}
		if tt.wrong == "" && got != "" || !strings.Contains(got, tt.wrong) {
			t.Errorf("%s: %q, want %q", tt.text, got, tt.wrong)
		}
		if got == "" && file.Announce.Off() != tt.off {
			t.Errorf("%s: off is %t", tt.text, file.Announce.Off())
		}
	}
}

func TestConfigIsWrittenAsItWasRead(t *testing.T) {
	for _, text := range []string{"announce: \"off\"\n", "announce:\n    steps: false\n    after: 5\n", "{}\n"} {
		var file struct {
			Announce Config `yaml:"announce,omitempty"`
		}
		if err := yaml.Unmarshal([]byte(text), &file); err != nil {
			t.Fatal(err)
		}
		if out, err := yaml.Marshal(file); err != nil || string(out) != text {
			t.Errorf("%q became %q, %v", text, out, err)
		}
	}
}
