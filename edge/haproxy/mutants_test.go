package haproxy

import (
	"errors"
	"testing"
)

// Two commands go in one line, and each says when it is done (I10): one empty
// line alone leaves open whether the second was obeyed.
func TestEachOfTwoCommandsAnswers(t *testing.T) {
	for answer, want := range map[string]error{
		"\n\n":                        nil,
		"\n":                          ErrTruncated,
		"":                            ErrTruncated,
		"\n[3]: No such server.\n\n":  ErrNoServer,
		"\n[3]: No such server.\n":    ErrTruncated,
		"\n[3]: Something else.\n\n":  ErrRefused,
		"\n[3]: Permission denied.\n": ErrTruncated,
	} {
		if err := obeyed([]byte(answer)); !errors.Is(err, want) {
			t.Errorf("%q is %v; want %v", answer, err, want)
		}
	}
}

// What follows the last answer is of nobody's question (I2).
func TestAnAnswerTooManyIsNone(t *testing.T) {
	if parts, err := split([]byte("one\n\ntwo\n\n"), 2); err != nil || len(parts) != 2 {
		t.Errorf("got %q, %v", parts, err)
	}
	if parts, err := split([]byte("one\n\ntwo\n\n"), 1); !errors.Is(err, ErrAnswer) {
		t.Errorf("got %q, %v; want ErrAnswer", parts, err)
	}
}

// What takes no new traffic isn't serving (I1): a backup that waits, a server
// whose weight is 0, one that HAProxy holds down or in maintenance.
func TestWhatTakesNoNewTrafficIsNotServing(t *testing.T) {
	for _, c := range []struct {
		name, row string // status, weight, bck
		op        OpState
		want      bool
	}{
		{"in use", "UP,1,0", Running, true},
		{"a backup", "UP,1,1", Running, false},
		{"without weight", "UP,0,0", Running, false},
		{"down by its status", "DOWN,1,0", Running, false},
		{"coming up and not there yet", "DOWN 1/2,1,0", Running, false},
		{"in maintenance by its status", "MAINT (via other/s1),1,0", Running, false},
		{"down by its state", "UP,1,0", Stopped, false},
		{"stopping", "UP,1,0", Stopping, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			stats, err := ParseStats([]byte("# pxname,svname,type,status,weight,bck,\nshop,s1,2," + c.row + ",\n"))
			if err != nil {
				t.Fatal(err)
			}
			r := Reading{Stats: stats, Servers: []Server{{Backend: "shop", Name: "s1", Op: c.op}}}
			for _, st := range r.Snapshot("edge1").States {
				if st.Serving != c.want {
					t.Errorf("serving is %v: %+v", st.Serving, st)
				}
			}
		})
	}
}
