package audit

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// What is no line is refused; what is one has a name, and a changed byte undoes it.
func FuzzParseLine(f *testing.F) {
	good, err := encode(genesis, journal.Entry{Seq: 1, At: t0, Event: "step", Detail: "x"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"prev":"","sum":""}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ParseLine(text)
		if err != nil {
			// A fuzzer finds no SHA-256, so it is told: the rest must still be judged.
			if len(text) > sumLength {
				body := text[:len(text)-sumLength]
				_, _ = ParseLine([]byte(string(body) + openSum + hashOf([]byte(string(body)+closeLine)) + closeSum + "\n")) // it must not panic
			}
			return
		}
		if !isHash(l.Prev) || !isHash(l.Hash) || l.Event == "" || l.Seq == 0 && !own(l.Event) {
			t.Fatalf("nameless: %+v", l)
		}
		var s Standings
		s.Add(l)
		for _, i := range []int{0, len(text) / 2, len(text) - 2} {
			changed := bytes.Clone(text)
			changed[i] ^= 1
			if _, err := ParseLine(changed); err == nil {
				t.Fatalf("byte %d was changed and nobody sees it: %q", i, changed)
			}
		}
	})
}

// Whatever an entry holds, it is one line, and reads back.
func FuzzEncode(f *testing.F) {
	f.Add("step", "a\nb", `{"a": "]\n"}`)
	f.Add("step", `","sum":"`, "[1,\n2]")
	f.Add("step", "0", "{\"\x81\":\"\"}")
	f.Add("audit_repaired", "\xff\u2028\x00", "null")
	f.Fuzz(func(t *testing.T, event, text, raw string) {
		e := journal.Entry{Seq: 1, At: t0, Event: event, Member: &edge.Member{Device: text, Name: text}, Detail: text, Actor: text, Before: []byte(text), Left: &edge.State{Marks: text}}
		if json.Valid([]byte(raw)) {
			e.Evidence = json.RawMessage(raw)
		}
		line, err := encode(genesis, e)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Fatalf("not one line: %q", line)
		}
		l, err := ParseLine(line)
		switch {
		case event == "" || bytes.Contains(line, []byte(`"event":"",`)):
			return
		case err != nil:
			t.Fatalf("%q: %v", line, err)
		}
		again, err := encode(genesis, l.Entry)
		if err != nil {
			t.Fatal(err)
		}
		l2, err := ParseLine(again)
		if err != nil || !cmp.Equal(l.Entry, l2.Entry) {
			t.Fatalf("%v\n%s", err, cmp.Diff(l.Entry, l2.Entry))
		}
	})
}
