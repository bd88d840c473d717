package crash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// limit makes every write of the remediator beyond that place in a file fail
// from now on, as a disk that is full or broken does: EFBIG where a disk has
// ENOSPC or EIO. The output of the scene's programs is a pipe, which has no limit.
func (s stage) limit(bytes string) {
	s.t.Helper()
	text, err := exec.Command("prlimit", "--pid", fmt.Sprint(s.Remediator.Pid()), "--fsize="+bytes+":").CombinedOutput()
	if err != nil {
		s.t.Fatalf("prlimit: %v: %s", err, text)
	}
}

// places are how much of the journal can still be written, in pages. A commit has
// more than two besides the meta page: those of the last place are begun, and
// never done.
var places = map[string]int{"nothing": 0, "only the meta pages": 2, "two pages more": 4}

// complains waits until the remediator says that it can't keep its records.
func (s stage) complains() {
	s.t.Helper()
	s.await("a line about the journal", func(context.Context) error {
		if !s.Remediator.Wrote(`msg="not recorded"`) || !s.Remediator.Wrote("file too large") {
			return errors.New("there is none")
		}
		return nil
	})
}

// On a disk that takes nothing, no step is taken, for none would have a record
// (SAFETY.md I11). It is said in the log and to whoever asks, and it goes on by
// itself once there is room.
func TestWithoutRoomForARecordNoStepIsTaken(t *testing.T) {
	for place, pages := range places {
		for _, end := range []string{"goes on", "is killed"} {
			t.Run(place+" can be written, and it "+end, func(t *testing.T) {
				s := begin(t)
				s.run("")
				s.must(s.Say(t.Context(), true, victim)) // claimed, and well: refused
				s.await("a refusal", func(ctx context.Context) error {
					entries, err := s.Steps(ctx)
					if err == nil && len(entries) == 0 {
						err = errors.New("none")
					}
					return err
				})
				s.limit(fmt.Sprint(pages * os.Getpagesize()))
				s.set(rig.Refuse)
				s.complains()
				s.keeps(rig.AdminReady)
				if orders := s.Wire.Orders(); len(orders) > 0 {
					t.Errorf("without a record: %q", orders)
				}
				s.wantStatus("/webhook", http.StatusServiceUnavailable)
				s.wantStatus("/api/v1/freeze", http.StatusServiceUnavailable)
				if end == "is killed" {
					s.must(s.Remediator.Kill())
					s.run("")
				} else {
					s.limit("unlimited")
				}
				s.becomes(rig.AdminDrain)
				s.phase(journal.Holding)
				s.heal()
				s.over(drained, readied)
			})
		}
	}
}

// The disk fills while a member is out: it stays out, and comes back when there
// is room.
func TestWithoutRoomForARecordNothingIsGivenBack(t *testing.T) {
	s := begin(t)
	s.run("")
	s.sicken()
	s.becomes(rig.AdminDrain)
	s.phase(journal.Holding)
	s.must(s.Say(t.Context(), false, victim))
	s.limit("0")
	s.set(rig.Serve)
	s.complains()
	s.keeps(rig.AdminDrain)
	s.limit("unlimited")
	s.over(drained, readied)
}

// wantStatus sends what would be all right, had it a place to be kept.
func (s stage) wantStatus(path string, want int) {
	s.t.Helper()
	body, err := s.Message(true, victim)
	s.must(err)
	if path != "/webhook" {
		body = []byte(`{"reason":"test"}`)
	}
	if status, err := rig.Post(s.t.Context(), s.URL+path, body); err != nil || status != want {
		s.t.Errorf("POST %s: status %d, %v; want %d", path, status, err, want)
	}
}
