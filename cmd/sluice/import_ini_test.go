package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The answers are those of Python's configparser.
func TestINIIsReadAsPythonDoes(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       string // section.key=value, one a line
	}{
		{"both signs", "[a]\nx = 1\ny: 2\nz:=3\n", `a.x="1" a.y="2" a.z="=3"`},
		{"keys in lower case, sections as they are", "[A]\nKey=V\n", `A.key="V"`},
		{"comments are whole lines", "# c\n; c\n[a]\nx = 1 # no\n  ; c\ny=2;3\n", `a.x="1 # no" a.y="2;3"`},
		{"deeper lines go on", "[a]\nx = 1\n  2\n\n  3\n\n\ny=4\n", `a.x="1\n2\n\n3" a.y="4"`},
		{"a deeper header goes on, too", "[a]\nx =\n [b]\n", `a.x="\n[b]"`},
		{"a key may be indented", "[a]\n  x = 1\n  y = 2\n   3\n z = 4\n", `a.x="1" a.y="2\n3" a.z="4"`},
		{"line ends of all systems", "[a]\r\nx=1\r\ny=2\rz=3", `a.x="1" a.y="2" a.z="3"`},
		{"a mark at the start", "\ufeff[a]\nx=1", `a.x="1"`},
		{"DEFAULT may come again", "[DEFAULT]\nx=1\n[a]\n[DEFAULT]\ny=2\n", `DEFAULT.x="1" DEFAULT.y="2"`},
		{"what follows a header is nothing", "[a] x=1\ny=2\n", `a.y="2"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, wrong := parseINI(tt.text)
			if wrong != nil {
				t.Fatal(wrong)
			}
			var got []string
			for _, s := range f {
				for _, k := range s.keys {
					got = append(got, fmt.Sprintf("%s.%s=%q", s.name, k.name, k.value))
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Nothing nameless comes out, lines are those of the file, and what is written
// out is read as the same again.
func FuzzParseINI(f *testing.F) {
	f.Add("[global]\nip_mgmt = 192.0.2.10\n# c\npayload: {\n  a\n\n  }\n[DEFAULT]\nx=1\n")
	f.Add("\ufeff[a]\r\n=\r[")
	f.Add("[[a]]\n[x = ]\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, wrong := parseINI(text)
		if wrong != nil {
			if wrong.line < 1 || wrong.Text == "" {
				t.Fatalf("a mistake without line or text: %+v", wrong)
			}
			return
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 1
		var b strings.Builder
		for _, s := range file {
			if strings.TrimSpace(s.name) == "" || s.line < 1 || s.line > lines {
				t.Fatalf("section %q on line %d", s.name, s.line)
			}
			fmt.Fprintf(&b, "[%s]\n", s.name)
			for _, k := range s.keys {
				if k.name == "" || k.name != strings.ToLower(k.name) || strings.ContainsAny(k.name, "=:\n") || k.line < 1 || k.line > lines {
					t.Fatalf("key %q on line %d", k.name, k.line)
				}
				fmt.Fprintf(&b, "%s = %s\n", k.name, strings.ReplaceAll(k.value, "\n", "\n\t"))
			}
		}
		again, wrong := parseINI(b.String())
		if wrong != nil {
			t.Fatalf("%v in what was written out:\n%s", wrong, b.String())
		}
		if diff := cmp.Diff(bare(file), bare(again)); diff != "" {
			t.Error(diff)
		}
	})
}

// bare leaves out the lines.
func bare(f iniFile) (out []string) {
	for _, s := range f {
		out = append(out, "["+s.name+"]")
		for _, k := range s.keys {
			out = append(out, k.name, k.value)
		}
	}
	return out
}
