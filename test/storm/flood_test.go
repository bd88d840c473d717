package main

import (
	"strings"
	"testing"
)

func TestEachAnswerIsCounted(t *testing.T) {
	if got, want := counts(map[int]int{503: 2, 0: 1, 200: 30}), "1 x none, 30 x 200, 2 x 503"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheTableIsAligned(t *testing.T) {
	var out strings.Builder
	table(&out, []row{{"", "answers"}, {"nothing", "1 x 200"}})
	want := "           answers\n  nothing  1 x 200\n"
	if out.String() != want {
		t.Errorf("got\n%s want\n%s", out.String(), want)
	}
}
