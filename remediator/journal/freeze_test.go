package journal

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFreeze(t *testing.T) { // I19
	t.Run("survives a restart, and thaws", func(t *testing.T) {
		j := openNew(t)
		in := Freeze{Reason: "moving racks", Actor: "ann", At: time.Unix(1700000000, 0).UTC()}
		ok(t, j.SetFreeze(in))
		j = reopen(t, j)
		f, err := j.Freeze()
		ok(t, err)
		if f == nil {
			t.Fatal("the freeze is forgotten")
		}
		if d := cmp.Diff(in, *f); d != "" {
			t.Error(d)
		}
		ok(t, j.Thaw("bob"))
		ok(t, j.Thaw("bob"))
		j = reopen(t, j)
		if f, err = j.Freeze(); f != nil || err != nil {
			t.Errorf("after thawing: %v, %v", f, err)
		}
		es, err := j.Entries(Query{})
		ok(t, err)
		var story []string
		for _, e := range es {
			story = append(story, strings.Join([]string{e.Event, e.Reason, e.Actor, e.Detail}, "|"))
		}
		if d := cmp.Diff([]string{"freeze|moving racks|ann|until lifted", "thaw|moving racks|bob|"}, story); d != "" {
			t.Error(d)
		}
	})
	t.Run("ends by itself when its time is over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			j := openNew(t)
			ok(t, j.SetFreeze(Freeze{Reason: "upgrade", Until: time.Now().Add(time.Hour)}))
			time.Sleep(time.Hour - time.Nanosecond)
			if f, err := j.Freeze(); f == nil || err != nil {
				t.Errorf("just before its end: %v, %v", f, err)
			}
			time.Sleep(time.Nanosecond)
			if f, err := j.Freeze(); f != nil || err != nil {
				t.Errorf("at its end: %v, %v", f, err)
			}
			ok(t, j.Thaw("ann"))
			es, err := j.Entries(Query{Event: EventThaw})
			ok(t, err)
			if len(es) != 0 {
				t.Error("a freeze that was over was entered as lifted")
			}
		})
	})
	t.Run("wants a reason and an end to come", func(t *testing.T) {
		j := openNew(t)
		if err := j.SetFreeze(Freeze{}); err == nil {
			t.Error("no reason was needed")
		}
		if err := j.SetFreeze(Freeze{Reason: "late", Until: time.Now().Add(-time.Second)}); err == nil {
			t.Error("an end in the past was taken")
		}
		if f, err := j.Freeze(); f != nil || err != nil {
			t.Errorf("a refused freeze is in force: %v, %v", f, err)
		}
	})
	t.Run("another takes the place of the first", func(t *testing.T) {
		j := openNew(t)
		ok(t, j.SetFreeze(Freeze{Reason: "one", Until: time.Now().Add(time.Hour)}))
		ok(t, j.SetFreeze(Freeze{Reason: "two"}))
		if f, err := j.Freeze(); err != nil || f == nil || f.Reason != "two" || !f.Until.IsZero() {
			t.Errorf("got %+v, %v", f, err)
		}
	})
}
