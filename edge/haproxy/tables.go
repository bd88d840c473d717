package haproxy

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// A Table is what "show table" says of one stick table.
type Table struct {
	Name       string // of the proxy or the peers section that has it
	Type       string // of its keys: ip, string, ...
	Size, Used uint64 // entries
}

// ParseTables reads "show table": one line for each table, as in
// "# table: shop, type: ip, size:1048576, used:12". Source: seen on 2.6 and 3.4.
func ParseTables(b []byte) ([]Table, error) {
	var out []Table
	for line := range bytes.Lines(b) {
		text := strings.TrimSpace(string(line))
		if text == "" {
			continue
		}
		rest, ok := strings.CutPrefix(text, "# table:")
		if !ok {
			return nil, fmt.Errorf("%w: %s", ErrAnswer, oneLine(text))
		}
		t := Table{}
		for i, part := range strings.Split(rest, ",") {
			part = strings.TrimSpace(part)
			key, value, _ := strings.Cut(part, ":")
			value = strings.TrimSpace(value)
			var err error
			switch {
			case i == 0:
				t.Name = part
			case key == "type":
				t.Type = value
			case key == "size":
				t.Size, err = strconv.ParseUint(value, 10, 64)
			case key == "used":
				t.Used, err = strconv.ParseUint(value, 10, 64)
			}
			if err != nil {
				return nil, fmt.Errorf("table %s: %s is no number: %w", oneLine(t.Name), key, ErrAnswer)
			}
		}
		if t.Name == "" {
			return nil, fmt.Errorf("a table without a name: %w", ErrAnswer)
		}
		out = append(out, t)
	}
	return out, nil
}
