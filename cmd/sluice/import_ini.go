package main

import (
	"strings"
	"unicode"

	"github.com/sluice-project/sluice/edge"
)

// An iniFile is a file as Python's configparser reads it with its defaults:
// names of sections count by case, keys don't; "=" or ":" stands between key and
// value; a line that begins with "#" or ";" is a comment, the same later in a
// line is not; a line that is indented deeper than its key goes on with the value.
// Unlike there, spaces around a section's name don't count.
// Source: Python's library reference, configparser, "Supported INI File Structure".
type iniFile []iniSection

type iniSection struct {
	name string
	line int // of its first header, counted from 1
	keys []iniKey
}

type iniKey struct {
	name  string // in lower case, never empty
	line  int
	value string // lines of a longer one are parted by line breaks
}

// iniDefault is the section whose keys count in every other one.
const iniDefault = "DEFAULT"

func (f iniFile) section(name string) *iniSection {
	for i := range f {
		if f[i].name == name {
			return &f[i]
		}
	}
	return nil
}

func (s *iniSection) key(name string) *iniKey {
	if s == nil {
		return nil
	}
	for i := range s.keys {
		if s.keys[i].name == name {
			return &s.keys[i]
		}
	}
	return nil
}

// parseINI stops at the first mistake, as configparser does with those that we
// name. No text of the file is in it: it may be a secret.
func parseINI(text string) (iniFile, *lineMistake) {
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") { // as editors on Windows save "Unicode"
		return nil, &lineMistake{line: 1, Mistake: edge.Mistake{Text: "the file is UTF-16: save it as UTF-8"}}
	}
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	var p iniParser
	for i, line := range strings.Split(text, "\n") {
		if wrong := p.take(line); wrong != "" {
			return nil, &lineMistake{line: i + 1, Mistake: edge.Mistake{Text: wrong}}
		}
		p.line++
	}
	p.end()
	return p.file, nil
}

type iniParser struct {
	file    iniFile
	line    int // how many were taken
	section int // index, valid when file isn't empty
	open    bool
	indent  int // of the last line that was no continuation
	value   []string
}

// take reads one line and says what is wrong with it.
func (p *iniParser) take(line string) string {
	content := strings.TrimSpace(line)
	indent := len([]rune(line)) - len([]rune(strings.TrimLeftFunc(line, unicode.IsSpace)))
	switch {
	case content == "":
		if p.open {
			p.value = append(p.value, "") // counts when more of the value follows
		}
		return ""
	case content[0] == '#' || content[0] == ';':
		return ""
	case p.open && indent > p.indent:
		p.value = append(p.value, content)
		return ""
	}
	p.indent = indent
	p.end()
	if end := strings.LastIndexByte(content, ']'); content[0] == '[' && end > 0 {
		return p.header(strings.TrimSpace(content[1:end]))
	}
	return p.key(content)
}

func (p *iniParser) header(name string) string {
	if name == "" {
		return "this section has no name: write one, such as [global]"
	}
	for i, s := range p.file {
		if s.name != name {
			continue
		}
		if name != iniDefault {
			return "this section stands here a second time: keep one"
		}
		p.section = i
		return ""
	}
	p.section = len(p.file)
	p.file = append(p.file, iniSection{name: name, line: p.line + 1})
	return ""
}

func (p *iniParser) key(content string) string {
	if len(p.file) == 0 {
		return "want a section such as [global] before anything else: is this the script's config.ini?"
	}
	at := strings.IndexAny(content, "=:")
	if at < 0 {
		return "want a key and a value here: write key = value"
	}
	// By ToLower as in Python, not EqualFold: the key is what comes out of it.
	name := strings.ToLower(strings.TrimSpace(content[:at]))
	if name == "" {
		return "there is no key before the value: write key = value"
	}
	s := &p.file[p.section]
	if s.key(name) != nil {
		return "this key stands here a second time in its section: keep one"
	}
	s.keys = append(s.keys, iniKey{name: name, line: p.line + 1})
	p.open, p.value = true, []string{strings.TrimSpace(content[at+1:])}
	return ""
}

// end closes the value of the last key.
func (p *iniParser) end() {
	if !p.open {
		return
	}
	keys := p.file[p.section].keys
	keys[len(keys)-1].value = strings.TrimRightFunc(strings.Join(p.value, "\n"), unicode.IsSpace)
	p.open, p.value = false, nil
}

// uninterpolated undoes what configparser's interpolation asks writers for: "%%"
// is "%". False means that the value takes in another one, by "%(name)s".
func uninterpolated(value string) (string, bool) {
	if strings.Contains(strings.ReplaceAll(value, "%%", ""), "%(") {
		return "", false
	}
	return strings.ReplaceAll(value, "%%", "%"), true
}
