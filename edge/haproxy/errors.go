package haproxy

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// What HAProxy refuses, by its own texts (the same from 2.6 to 3.4).
var (
	ErrNoServer      = errors.New("no such server")
	ErrNoBackend     = errors.New("no such backend")
	ErrPermission    = errors.New("permission denied: the socket's level is below admin")
	ErrProxyDisabled = errors.New("proxy is disabled")
	ErrRefused       = errors.New("refused by HAProxy") // any other text where an empty answer means success
	ErrPercent       = errors.New("want 0 to 100 percent")
	ErrWeight        = errors.New("want a weight of 1 to 256")
)

// What goes wrong on the way.
var (
	ErrName      = errors.New("want letters, digits, '.', ':', '_' or '-'") // a name that is never sent
	ErrTimeout   = errors.New("timeout")
	ErrTruncated = errors.New("answer breaks off before its closing empty line")
	ErrAnswer    = errors.New("unexpected answer")
)

// A ConnectError says that HAProxy could not be reached, so that nothing was sent.
type ConnectError struct {
	Address string
	Err     error
}

func (e *ConnectError) Error() string { return "connect to " + e.Address + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

var name = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,255}$`)

// checkName holds the set of letters that HAProxy itself takes in the names of
// proxies and servers, so that no separator, blank, escape, payload mark or NUL
// is ever sent (SAFETY.md I21).
func checkName(kind, s string) error {
	if name.MatchString(s) {
		return nil
	}
	if len(s) > 64 {
		s = s[:64] + "..."
	}
	return fmt.Errorf("%s %q: %w", kind, s, ErrName)
}

// shown is a server as errors name it: names that are none are quoted and cut.
func shown(backend, server string) string {
	if name.MatchString(backend) && name.MatchString(server) {
		return backend + "/" + server
	}
	s := backend + "/" + server
	if len(s) > 64 {
		s = s[:64] + "..."
	}
	return strconv.QuoteToASCII(s)
}

// severity is what "set severity-output number" puts before a message. Without
// it an empty answer and a refusal differ by text alone.
var severity = regexp.MustCompile(`^\[[0-7]\]:\s*`)

// refusal reads an answer to a command that says nothing when it obeys.
func refusal(answer []byte) error {
	text := strings.TrimSpace(severity.ReplaceAllString(strings.TrimSpace(string(answer)), ""))
	switch {
	case text == "":
		return nil
	case strings.HasPrefix(text, "No such server"):
		return ErrNoServer
	case strings.HasPrefix(text, "No such backend"), strings.HasPrefix(text, "No such proxy"), strings.HasPrefix(text, "Can't find backend"):
		return ErrNoBackend
	case strings.HasPrefix(text, "Permission denied"):
		return ErrPermission
	case strings.HasPrefix(text, "Proxy is disabled"):
		return ErrProxyDisabled
	}
	return fmt.Errorf("%w: %s", ErrRefused, oneLine(text))
}

// oneLine makes a device's words fit into an error: one line, printable, short.
func oneLine(text string) string {
	text, _, more := strings.Cut(text, "\n")
	if len(text) > 200 {
		text, more = text[:200], true
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if more {
		text += " ..."
	}
	return text
}

// end finds the empty line that ends a command's part: the place of the line
// break before it, or -1. In the CSV of "show stat" an empty line may stand inside
// quotes, where a checked server could have put it.
func end(raw []byte) int {
	csv := bytes.HasPrefix(raw, []byte("# "))
	from, quotes := 0, 0
	for {
		i := bytes.Index(raw[from:], []byte("\n\n"))
		if i < 0 || !csv {
			if i >= 0 {
				i += from
			}
			return i
		}
		if quotes += bytes.Count(raw[from:from+i], []byte{'"'}); quotes%2 == 0 {
			return from + i
		}
		from += i + 1
	}
}

// split cuts a batch's answer at the empty line that ends each command's part.
func split(raw []byte, n int) ([][]byte, error) {
	out := make([][]byte, 0, n)
	for len(out) < n {
		var part []byte
		switch end := end(raw); {
		case bytes.HasPrefix(raw, []byte("\n")): // nothing but the empty line
			part, raw = nil, raw[1:]
		case end < 0:
			return nil, fmt.Errorf("part %d of %d: %w", len(out)+1, n, ErrTruncated)
		default:
			part, raw = raw[:end+1], raw[end+2:]
		}
		out = append(out, part)
	}
	if rest := bytes.TrimSpace(raw); len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes after the last of %d parts: %w", len(rest), n, ErrAnswer)
	}
	return out, nil
}
