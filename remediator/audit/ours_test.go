package audit

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

func TestOursIsWhatWasTakenAndNotGivenBack(t *testing.T) { // issue: the stream says what is ours when the journal is lost
	var seq uint64
	line := func(m edge.Member, hold string, from, to journal.Phase, change ...func(*Line)) Line {
		seq++
		l := Line{Entry: journal.Entry{Seq: seq, At: t0.Add(time.Duration(seq) * time.Second), Event: string(to), Member: &m, Hold: hold, From: from, To: to, Policy: "drain"}}
		for _, c := range change {
			c(&l)
		}
		return l
	}
	intent := func(l *Line) {
		l.Event, l.Admin, l.Evidence = "intent", "drain", json.RawMessage(`{"detail":"503,\n want 200"}`)
		l.Preimage = &edge.State{Member: *l.Member, Weight: 10}
	}
	left := func(l *Line) { l.Left = &edge.State{Member: *l.Member, Admin: edge.Drain, Marks: "FDRAIN"} }
	lost := Line{Entry: journal.Entry{Event: EventNewJournal}}
	held := func(m edge.Member, hold string, at uint64, last journal.Phase, line uint64) Standing {
		return Standing{
			Member: m, Hold: hold, Phase: last, Admin: "drain", Policy: "drain", Since: t0.Add(time.Duration(at) * time.Second),
			Reason: "503, want 200", Seq: line, Preimage: &edge.State{Member: m, Weight: 10},
		}
	}
	withLeft := func(s Standing) Standing {
		s.Left = &edge.State{Member: s.Member, Admin: edge.Drain, Marks: "FDRAIN"}
		return s
	}
	for _, tt := range []struct {
		name  string
		lines func() []Line
		want  []Standing
	}{
		{"nothing was done", func() []Line { return []Line{{Entry: journal.Entry{Seq: 1, Event: "refusal", Member: &s1}}} }, nil},
		{"an intent may have been sent", func() []Line { return []Line{line(s1, "h1", "", journal.Intent, intent)} }, []Standing{held(s1, "h1", 1, journal.Intent, 1)}},
		{"one that waits for an approval has done nothing", func() []Line {
			return []Line{line(s1, "h1", "", journal.Observed), line(s1, "h1", journal.Guarded, journal.AwaitingApproval)}
		}, nil},
		{"one is held, one was given back", func() []Line {
			return []Line{
				line(s2, "h1", "", journal.Intent, intent),
				line(s1, "h2", "", journal.Intent, intent),
				line(s2, "h1", journal.Applying, journal.Applied, left),
				line(s1, "h2", journal.Applying, journal.Applied, left),
				line(s1, "h2", journal.Reverting, journal.Reverted),
				line(s1, "h2", journal.Reverted, journal.Closed),
				line(s2, "h1", journal.Applied, journal.Holding),
			}
		}, []Standing{withLeft(held(s2, "h1", 1, journal.Holding, 7))}},
		{"after a failure it waits for the next try, and the first may have been carried out", func() []Line {
			return []Line{line(s1, "h1", "", journal.Intent, intent), line(s1, "h1", journal.Intent, journal.Failed), line(s1, "h1", journal.Failed, journal.Deferred)}
		}, []Standing{held(s1, "h1", 1, journal.Deferred, 3)}},
		{"what moved along is named", func() []Line {
			return []Line{line(s1, "h1", "", journal.Intent, intent, func(l *Line) { l.Along = []edge.Member{s2} }), line(s1, "h1", journal.Intent, journal.Applying)}
		}, []Standing{func() Standing { s := held(s1, "h1", 1, journal.Applying, 2); s.Along = []edge.Member{s2}; return s }()}},
		{"the journal was lost meanwhile", func() []Line {
			return []Line{line(s1, "h1", "", journal.Intent, intent), lost, line(s2, "h1", "", journal.Intent, intent)}
		}, []Standing{held(s1, "h1", 1, journal.Intent, 1), held(s2, "h1", 2, journal.Intent, 2)}},
		{"and the member taken again, by the same id", func() []Line {
			return []Line{
				line(s1, "h1", "", journal.Intent, intent), lost,
				line(s1, "h1", "", journal.Observed),
				line(s1, "h1", journal.Guarded, journal.Intent, func(l *Line) { l.Event, l.Admin, l.Detail = "intent", "drain", "503, want 200" }),
			}
		}, []Standing{held(s1, "h1", 1, journal.Intent, 3)}},
		{"and given back", func() []Line {
			return []Line{
				line(s1, "h7", "", journal.Intent, intent), lost, line(s1, "h1", "", journal.Intent, intent),
				line(s1, "h1", journal.Applying, journal.Applied), line(s1, "h1", journal.Reverted, journal.Closed),
			}
		}, nil},
		{"what a hold by the same id in the new journal did not do changes nothing", func() []Line {
			return []Line{line(s1, "h1", "", journal.Intent, intent), lost, line(s1, "h1", "", journal.Observed), line(s1, "h1", journal.Observed, journal.Closed)}
		}, []Standing{held(s1, "h1", 1, journal.Intent, 1)}},
		{"nor does an intent that was not sent", func() []Line {
			return []Line{
				line(s1, "h1", "", journal.Intent, intent), line(s1, "h1", journal.Applying, journal.Applied, left), lost,
				line(s1, "h1", "", journal.Intent, intent, func(l *Line) { l.Preimage = &edge.State{Member: s1, Admin: edge.Drain} }),
				line(s1, "h1", journal.Intent, journal.Closed),
			}
		}, []Standing{withLeft(held(s1, "h1", 1, journal.Applied, 2))}},
		{"what the member was before it was first taken is to be given back", func() []Line {
			return []Line{
				line(s1, "h1", "", journal.Intent, intent), lost,
				line(s1, "h4", "", journal.Intent, intent, func(l *Line) { l.Preimage = &edge.State{Member: s1, Admin: edge.Drain} }),
			}
		}, []Standing{held(s1, "h4", 1, journal.Intent, 2)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seq = 0
			if d := cmp.Diff(tt.want, Ours(tt.lines()), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Standing{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOursIsReadFromAllFilesUpToWhatIsWrong(t *testing.T) { // I19
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	src := new(source)
	put := func(m edge.Member, hold string, to journal.Phase) {
		seq := uint64(len(src.entries) + 1)
		src.entries = append(src.entries, journal.Entry{Seq: seq, At: t0, Event: string(to), Member: &m, Hold: hold, To: to})
	}
	put(s1, "h1", journal.Intent)
	put(s2, "h2", journal.Intent)
	put(s1, "h1", journal.Closed)
	s := open(t, path, Options{MaxSize: 10})
	wantSync(t, s, src)
	members := func() (out []edge.Member, err error) {
		list, _, err := ReadOurs(path)
		for _, st := range list {
			out = append(out, st.Member)
		}
		return out, err
	}
	if got, err := members(); err != nil || !cmp.Equal(got, []edge.Member{s2}) {
		t.Errorf("got %v, %v", got, err)
	}
	write(t, path, []byte("{}\n"))
	if got, err := members(); !errors.Is(err, ErrBroken) || !cmp.Equal(got, []edge.Member{s1, s2}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// What a newer version writes besides is left alone.
func TestAKeyThatIsNotKnownIsNoMistake(t *testing.T) {
	text := `{"prev":"` + genesis + `","seq":1,"event":"intent","preimage":{"weight":10,"admin":"ready"},"left":{"marks":"FDRAIN","admin":"drain"},"newer":{"a":[1]}`
	l, err := ParseLine([]byte(text + openSum + hashOf([]byte(text+closeLine)) + closeSum + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if l.Preimage == nil || l.Preimage.Weight != 10 || l.Left == nil || l.Left.Marks != "FDRAIN" {
		t.Errorf("got %+v and %+v", l.Preimage, l.Left)
	}
}
