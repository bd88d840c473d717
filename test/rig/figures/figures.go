// Package figures shows what was measured, beside what was aimed at: as aligned
// text for people, and as tables that a document holds between markers, so that
// another run can replace them.
package figures

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Unknown stands where a figure could not be measured.
const Unknown = "-"

// A Table is a title, a line of heads, and rows of as many cells.
type Table struct {
	Name  string // of its place in the document
	Title string
	Head  []string
	Rows  [][]string
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Text writes the table for people: the first column to the left, the others to
// the right.
func (t *Table) Text(w io.Writer) error {
	widths := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n\n", t.Title)
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		var line strings.Builder
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString("  " + cell + space)
				continue
			}
			line.WriteString("  " + space + cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Markdown returns the table as the document holds it.
func (t *Table) Markdown() string {
	var b strings.Builder
	line := func(cells []string) {
		for _, cell := range cells {
			b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
	}
	line(t.Head)
	b.WriteString("|---" + strings.Repeat("|--:", len(t.Head)-1) + "|\n")
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}

// Put puts the tables into the document, each between its markers
// <!-- figures NAME --> and <!-- end NAME -->. A table without a place is an
// error, and leaves the document as it is.
func Put(file string, tables []*Table) error {
	whole, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(whole)
	for _, t := range tables {
		begin, end := "<!-- figures "+t.Name+" -->\n", "<!-- end "+t.Name+" -->"
		before, rest, ok := strings.Cut(text, begin)
		if !ok {
			return fmt.Errorf("%s has no line %q", file, strings.TrimSpace(begin))
		}
		_, after, ok := strings.Cut(rest, end)
		if !ok {
			return fmt.Errorf("%s has no %q after %q", file, end, strings.TrimSpace(begin))
		}
		text = before + begin + "\n" + t.Markdown() + "\n" + end + after
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// Met says whether a figure is where it was aimed at.
func Met(ok bool) string {
	if ok {
		return "yes"
	}
	return "no"
}

// Thousands writes 10,000 for 10000.
func Thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", Thousands(n/1000), n%1000)
}

// Machine describes where the figures come from, as a table.
func Machine(name string, programs ...[2]string) *Table {
	t := &Table{Name: name, Title: "Measured on", Head: []string{"what", "which"}}
	t.Add("processor", fmt.Sprintf("%s, %d cores", after("/proc/cpuinfo", "model name"), runtime.NumCPU()))
	memory := after("/proc/meminfo", "MemTotal")
	if kB, err := strconv.ParseInt(strings.TrimSuffix(memory, " kB"), 10, 64); err == nil {
		memory = fmt.Sprintf("%.1f GiB", float64(kB)/(1<<20))
	}
	t.Add("memory", memory)
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		kernel = []byte(Unknown)
	}
	t.Add("kernel", strings.TrimSpace(string(kernel)))
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte(Unknown)
	}
	averages := strings.Fields(string(load)) // of 1, 5 and 15 minutes, and more
	t.Add("load average before the run", averages[0])
	t.Add("Go", runtime.Version())
	for _, p := range programs {
		t.Add(p[0], p[1])
	}
	return t
}

// after returns what stands behind "key:" in one of the kernel's files.
func after(file, key string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return Unknown
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return Unknown
}
