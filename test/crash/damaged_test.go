package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// freeze is why the remediator is frozen, by its API; empty when it isn't.
func (s stage) freeze() string {
	s.t.Helper()
	status, text, err := rig.Do(s.t.Context(), http.MethodGet, s.URL+"/api/v1/freeze", nil)
	s.must(err)
	var answer struct {
		Data journal.Freeze
	}
	if err := json.Unmarshal(text, &answer); err != nil || status != http.StatusOK {
		s.t.Fatalf("freeze: status %d, %v: %s", status, err, text)
	}
	return answer.Data.Reason
}

// The journal is damaged while nobody has it, in whatever way: it is kept, named
// and counted, and nothing is done any more until a person says so; not after
// a restart either (SAFETY.md I19, I26).
func TestADamagedJournalIsSetAsideAndFreezes(t *testing.T) {
	for name, damage := range map[string]func(path string, size int64) error{
		"cut off":     func(path string, _ int64) error { return os.Truncate(path, int64(3*os.Getpagesize())) },
		"emptied":     func(path string, _ int64) error { return os.Truncate(path, 0) },
		"overwritten": func(path string, size int64) error { return os.WriteFile(path, make([]byte, size), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			s.run("")
			s.sicken()
			s.becomes(rig.AdminDrain)
			s.phase(journal.Holding)
			s.must(s.Remediator.Kill())
			info, err := os.Stat(s.Journal())
			s.must(err)
			s.must(damage(s.Journal(), info.Size()))
			left, err := os.ReadFile(s.Journal())
			s.must(err)

			s.run("")
			kept, err := journal.Damaged(s.Journal())
			if err != nil || len(kept) != 1 {
				t.Fatalf("set aside: %q, %v", kept, err)
			}
			if now, err := os.ReadFile(kept[0]); err != nil || string(now) != string(left) {
				t.Errorf("what is kept has %d bytes, had %d: %v", len(now), len(left), err)
			}
			reason := s.freeze()
			if !strings.Contains(reason, filepath.Base(kept[0])) {
				t.Errorf("the freeze doesn't name %s: %q", kept[0], reason)
			}
			s.counts("sluice_remediation_journals_set_aside", 1)
			s.counts("sluice_remediation_frozen", 1)
			s.heal()
			s.keeps(rig.AdminDrain)

			s.must(s.Remediator.Stop())
			s.run("")
			if again := s.freeze(); again != reason {
				t.Errorf("after a restart the freeze is %q", again)
			}
			s.keeps(rig.AdminDrain)
			s.counts("sluice_remediation_journals_set_aside", 1)

			// Lifted by a person, it works again; the member is theirs to give back.
			status, _, err := rig.Do(t.Context(), http.MethodDelete, s.URL+"/api/v1/freeze", nil)
			if err != nil || status != http.StatusOK {
				t.Fatalf("thaw: status %d, %v", status, err)
			}
			s.keeps(rig.AdminDrain)
			s.must(s.Order(t.Context(), "set server shop/"+victim+" state ready"))
			s.set(rig.Refuse)
			s.tell(true)
			s.becomes(rig.AdminDrain)
			s.phase(journal.Holding)
		})
	}
}

func (s stage) counts(metric string, want float64) {
	s.t.Helper()
	s.await(fmt.Sprintf("%s to be %v", metric, want), func(ctx context.Context) error {
		got, series, err := rig.Value(ctx, s.URL, metric, nil)
		if err == nil && (got != want || series != 1) {
			err = fmt.Errorf("it is %v in %d series", got, series)
		}
		return err
	})
}
