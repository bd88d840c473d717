package haproxy

import (
	"errors"
	"io"
	"testing"
)

// said hands over one piece after the other, each with its error.
type said []struct {
	text string
	err  error
}

func (s *said) Read(p []byte) (int, error) {
	if len(*s) == 0 {
		return 0, io.EOF
	}
	next := (*s)[0]
	*s = (*s)[1:]
	return copy(p, next.text), next.err
}

// An error that comes with the last bytes is told after them, also by a reader
// that would go on as if there had been none.
func TestAReadErrorThatComesWithBytesIsNotLost(t *testing.T) {
	errReset := errors.New("connection reset")
	in := newLines(&said{{"a\nb\n", errReset}, {"c\n", nil}})
	for _, want := range []string{"a", "b"} {
		if line, err := in.next(); err != nil || string(line) != want {
			t.Errorf("%q, %v, want %s", line, err, want)
		}
	}
	if line, err := in.next(); !errors.Is(err, errReset) {
		t.Errorf("%q, %v, want %v", line, err, errReset)
	}
}
