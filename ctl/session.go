package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"
)

// Forms are the values of --output.
var Forms = []string{"table", "json", "yaml"}

const (
	// callTime bounds one question: a step waits for its device, and a list for all.
	callTime = time.Minute
	// looks is how often a member is looked at that something is awaited of. The
	// remediator reads a device once a second for people, however many ask.
	looks = time.Second
	// redraws is how often a watched table is made anew.
	redraws = 2 * time.Second
)

// A Session is what a command writes to, and whom it asks.
type Session struct {
	Client *Client
	Out    io.Writer
	Err    io.Writer // progress, beside what was asked for
	Output string    // one of Forms

	every time.Duration // between looks; looks when zero
}

func (s *Session) interval() time.Duration {
	if s.every > 0 {
		return s.every
	}
	return looks
}

// say writes a line of progress.
func (s *Session) say(format string, args ...any) {
	fmt.Fprintln(s.Err, Printable(fmt.Sprintf(format, args...)))
}

// Show writes v in the form that is wanted; table writes it for people.
func (s *Session) Show(v any, table func(io.Writer) error) error {
	switch s.Output {
	case "json":
		e := json.NewEncoder(s.Out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "yaml":
		n, err := nodeOf(v)
		if err != nil {
			return fmt.Errorf("write yaml: %w", err)
		}
		e := yaml.NewEncoder(s.Out)
		e.SetIndent(2)
		return errors.Join(e.Encode(n), e.Close())
	}
	return table(s.Out)
}

// line shows a result that is one sentence.
func (s *Session) line(v any, format string, args ...any) error {
	return s.Show(v, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, Printable(fmt.Sprintf(format, args...)))
		return err
	})
}

// bounded gives one question its time.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callTime)
}

// firm is for what must not be cut off between its being sent and its answer: it
// goes on when the command is interrupted, for its time.
func firm(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), callTime)
}

// nodeOf makes YAML of what v is in JSON, with the keys in the same order.
func nodeOf(v any) (*yaml.Node, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return nextNode(d)
}

func nextNode(d *json.Decoder) (*yaml.Node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch t := t.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if t == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for d.More() {
			child, err := nextNode(d)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		_, err = d.Token() // the bracket that closes it
		return n, err
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	case string:
		n.SetString(t)
	}
	return n, nil
}

// A table is rows of cells under a header.
type table struct {
	w       *tabwriter.Writer
	columns int
}

func newTable(w io.Writer, header ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), len(header)}
	t.row(header...)
	return t
}

// row adds one row. A cell that is empty would let the columns run together.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		if cells[i] = Printable(c); c == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t *table) end() error { return t.w.Flush() }

// listed writes a table, or a line when there is nothing to list.
func listed[T any](w io.Writer, list []T, none string, header []string, row func(T) []string) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, none)
		return err
	}
	t := newTable(w, header...)
	for _, one := range list {
		t.row(row(one)...)
	}
	return t.end()
}

// age is how long ago something was, in its two largest units.
func age(since, now time.Time) string {
	if since.IsZero() {
		return ""
	}
	d := max(0, now.Sub(since)).Truncate(time.Second)
	days, hours, minutes := int(d/(24*time.Hour)), int(d/time.Hour)%24, int(d/time.Minute)%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%ds", minutes, int(d/time.Second)%60)
	}
	return d.String()
}

// stamp is a time as tables show it.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
