package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A pattern is our own reading of Zabbix' Prometheus pattern:
//
//	METRIC{LABEL OP "VALUE", ...} == VALUE
//
// OP is =, !=, =~ or !~; regular expressions aren't anchored. A matcher of a label
// that a series doesn't have finds nothing, also with != and !~.
// Source: Zabbix documentation 6.0, "Prometheus checks"; seen on 6.0.14.
type pattern struct {
	metric   string
	matchers []matcher
	equals   string // value that is wanted; empty: any
}

type matcher struct{ label, op, value string }

var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*`)
	operator   = regexp.MustCompile(`^(=~|!~|!=|=)`)
	quoted     = regexp.MustCompile(`^"(?:[^"\\]|\\.)*"`)
)

var errPattern = errors.New("not a Prometheus pattern")

func parsePattern(text string) (pattern, error) {
	var p pattern
	rest := text
	take := func(re *regexp.Regexp) string {
		rest = strings.TrimLeft(rest, " ")
		found := re.FindString(rest)
		rest = strings.TrimLeft(rest[len(found):], " ")
		return found
	}
	wrong := func() (pattern, error) { return p, fmt.Errorf("%q at %q: %w", text, rest, errPattern) }
	if p.metric = take(metricName); p.metric == "" {
		return wrong()
	}
	if after, open := strings.CutPrefix(rest, "{"); open {
		rest = after
		for {
			m := matcher{label: take(labelName), op: take(operator)}
			word := take(quoted)
			if m.label == "" || m.op == "" || word == "" {
				return wrong()
			}
			m.value = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(word[1 : len(word)-1])
			if strings.HasSuffix(m.op, "~") {
				if _, err := regexp.Compile(m.value); err != nil {
					return wrong()
				}
			}
			p.matchers = append(p.matchers, m)
			if after, more := strings.CutPrefix(rest, ","); more {
				rest = after
				continue
			}
			after, closed := strings.CutPrefix(rest, "}")
			if !closed {
				return wrong()
			}
			rest = strings.TrimLeft(after, " ")
			break
		}
	}
	if after, has := strings.CutPrefix(rest, "=="); has {
		rest = strings.TrimSpace(after)
		if _, err := strconv.ParseFloat(rest, 64); err != nil {
			return wrong()
		}
		p.equals, rest = rest, ""
	}
	if rest != "" {
		return wrong()
	}
	return p, nil
}

// A series is one line of /metrics.
type series struct {
	name   string
	labels map[string]string
	value  float64
}

func (p pattern) finds(s series) bool {
	if s.name != p.metric {
		return false
	}
	for _, m := range p.matchers {
		v, has := s.labels[m.label]
		if !has || !m.matches(v) {
			return false
		}
	}
	if p.equals != "" {
		want, err := strconv.ParseFloat(p.equals, 64)
		return err == nil && cmp.Compare(want, s.value) == 0
	}
	return true
}

func (m matcher) matches(v string) bool {
	switch m.op {
	case "=":
		return v == m.value
	case "!=":
		return v != m.value
	case "=~":
		return regexp.MustCompile(m.value).MatchString(v)
	}
	return !regexp.MustCompile(m.value).MatchString(v)
}

func (p pattern) in(all []series) []series {
	var out []series
	for _, s := range all {
		if p.finds(s) {
			out = append(out, s)
		}
	}
	return out
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	all := []series{
		{"up", map[string]string{"device": "edge1", "pool": ""}, 1},
		{"up", map[string]string{"device": `a"b`, "pool": "shop"}, 0},
		{"other", nil, 1},
	}
	for name, tt := range map[string]struct {
		pattern string
		want    int // -1: not a pattern
	}{
		"a name alone finds all of it":     {"up", 2},
		"a label tells them apart":         {`up{device="edge1"}`, 1},
		"an empty label can be asked for":  {`up{pool=""}`, 1},
		"and everything else":              {`up{pool!=""}`, 1},
		"regular expressions aren't bound": {`up{device=~"dge"}`, 1},
		"nor when they exclude":            {`up{device!~"dge"}`, 1},
		"a quote is escaped":               {`up{device="a\"b"}`, 1},
		"all matchers have to agree":       {`up{device="edge1", pool="shop"}`, 0},
		"a label that isn't there":         {`up{node!="x"}`, 0},
		"a value can be asked for":         {`up{device=~"."} == 0`, 1},
		"without a name":                   {`{device="edge1"}`, -1},
		"an open brace":                    {`up{device="edge1"`, -1},
		"no quotes":                        {`up{device=edge1}`, -1},
		"a broken expression":              {`up{device=~"("}`, -1},
		"something behind":                 {`up{device="edge1"} x`, -1},
		"no number":                        {`up == one`, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := parsePattern(tt.pattern)
			if tt.want < 0 {
				if !errors.Is(err, errPattern) {
					t.Errorf("error %v, want %v", err, errPattern)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := len(p.in(all)); got != tt.want {
				t.Errorf("finds %d series, want %d", got, tt.want)
			}
		})
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{`up{device="a\"b",pool=~"x.*"} == 1`, "up", `up{`, `up{a="`, `up{a!~"["}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePattern(text); err == nil && p.metric == "" {
			t.Errorf("%q is a pattern of nothing", text)
		}
	})
}
