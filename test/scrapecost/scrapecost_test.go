package main

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func subjectOf(walls ...time.Duration) *subject {
	s := &subject{}
	for _, w := range walls {
		s.takes = append(s.takes, take{wall: w, own: w / 2, haproxy: w})
	}
	return s
}

func TestQuotient(t *testing.T) {
	a, b := subjectOf(30, 10, 20), subjectOf(5, 5, 5)
	figure, minimum := quotient(a, wallTime, wallTime, b, b)
	if figure != 2 || minimum != 1 {
		t.Errorf("medians %v and minima %v, want 2 and 1", figure, minimum)
	}
	if figure, _ = quotient(nil, wallTime, wallTime, b); figure != 0 {
		t.Errorf("without a scrape it is %v, want 0", figure)
	}
	if figure, _ = quotient(a, wallTime, wallTime, subjectOf()); figure != 0 {
		t.Errorf("beside nothing it is %v, want 0", figure)
	}
}

func TestAims(t *testing.T) {
	r := &result{
		servers: 10000, raw: subjectOf(100), bare: subjectOf(100), plain: subjectOf(200), gzip: subjectOf(500),
		peerPlain: subjectOf(6000), peerGzip: subjectOf(6000), builtin: subjectOf(400),
	}
	r.plain.size, r.builtin.size, r.plain.memory = 1, 2, 65<<20
	got := make(map[string]string)
	for _, row := range aims([]*result{r}).Rows {
		got[row[0]] = row[1] + " " + row[3]
	}
	for figure, want := range map[string]string{
		"wall of a whole scrape, plain / (raw read + bare handler)":      "1.00 (1.00) yes",
		"wall of a scrape cut down to haproxy_exporter's set / raw read": "- not measured",
		"own CPU, plain / HAProxy's for the raw read":                    "1.00 (1.00) no",
		"own CPU, gzip / HAProxy's for the raw read":                     "2.50 (2.50) no",
		"peak memory, MiB":                                       "65 no",
		"haproxy_exporter's CPU / own, plain":                    "30 (30) yes",
		"HAProxy's CPU for our scrape / for its own exporter":    "0.50 (0.50) yes",
		"bytes of our scrape, plain / of HAProxy's own exporter": "0.50 yes",
	} {
		if got[figure] != want {
			t.Errorf("%s: got %q, want %q", figure, got[figure], want)
		}
	}
}

func TestCut(t *testing.T) {
	v, err := url.ParseQuery(defaultCut())
	if err != nil {
		t.Fatal(err)
	}
	perObject := make(map[string]int)
	for name := range strings.SplitSeq(v.Get("metrics"), ",") {
		object, _, _ := strings.Cut(strings.TrimPrefix(name, "haproxy_"), "_")
		perObject[object]++
	}
	// 0.14.0 has 18, 29 and 27 families; up is one of them, and stands as status here.
	for object, want := range map[string]int{"frontend": 18, "backend": 29, "server": 27} {
		if perObject[object] != want {
			t.Errorf("%d families of each %s, want %d", perObject[object], object, want)
		}
	}
}
