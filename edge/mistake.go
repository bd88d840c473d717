package edge

import "fmt"

// A Mistake is something wrong in a configuration. Its text says what, and what
// to write instead; it never holds a secret.
type Mistake struct {
	// Path leads to the wrong value from the section's root, in the keys that
	// users type: "policies[1].min_serving", "modules.health.http.method". The
	// program that read the file turns it into a line.
	Path string
	Text string
}

func (m Mistake) Error() string {
	if m.Path == "" {
		return m.Text
	}
	return m.Path + ": " + m.Text
}

// Mistakes are gathered, not returned at the first: a user sees all in one run.
type Mistakes []Mistake

// Add notes one mistake.
func (m *Mistakes) Add(path, format string, args ...any) {
	*m = append(*m, Mistake{path, fmt.Sprintf(format, args...)})
}

// Under puts prefix before the path of every mistake of a part.
func (m *Mistakes) Under(prefix string, part Mistakes) {
	for _, p := range part {
		switch {
		case p.Path == "":
			p.Path = prefix
		case prefix != "" && p.Path[0] != '[':
			p.Path = prefix + "." + p.Path
		default:
			p.Path = prefix + p.Path
		}
		*m = append(*m, p)
	}
}
