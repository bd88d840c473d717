package claims

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/remediator/webhook"
)

// intake is the way from a request to the store, as the remediator builds it.
type intake struct{ hints map[string]journal.Hint }

func (s *intake) Hint(_ context.Context, m webhook.Message) error {
	for _, h := range Hints(m, time.Now()) {
		if old, ok := s.hints[h.Key]; ok {
			h = old.Join(h)
		}
		s.hints[h.Key] = h
	}
	return nil
}

func (s *intake) Hints() (map[string]journal.Hint, error) { return s.hints, nil }

func newIntake() *intake { return &intake{map[string]journal.Hint{}} }

// say lets alerts come in, in one message.
func (s *intake) say(alerts ...webhook.Alert) {
	if err := s.Hint(context.Background(), webhook.Message{Alerts: alerts}); err != nil {
		panic(err)
	}
}

func fires(name string, start time.Time) webhook.Alert {
	return webhook.Alert{Result: webhook.Wanted, Firing: true, Labels: member(name), StartsAt: start}
}

func ended(name string, start, end time.Time) webhook.Alert {
	return webhook.Alert{Result: webhook.Wanted, Labels: member(name), StartsAt: start, EndsAt: end}
}

// held names the members that claims speak of.
func held(v View) []string {
	var out []string
	for _, c := range v.Claims {
		out = append(out, c.Member.Name)
	}
	return out
}

func TestAWebhookClaim(t *testing.T) {
	const ttl = 5 * time.Minute
	tests := []struct {
		name string
		play func(s *intake)
		want []string
	}{
		{"lasts while it is fresh", func(s *intake) { s.say(fires("s1", time.Now())); time.Sleep(ttl) }, []string{"s1"}},
		{"ends when nobody repeats it", func(s *intake) { s.say(fires("s1", time.Now())); time.Sleep(ttl + 1) }, nil},
		{"lasts while it is repeated with its old start", func(s *intake) {
			start := time.Now()
			for range 10 {
				s.say(fires("s1", start))
				time.Sleep(time.Minute)
			}
		}, []string{"s1"}},
		{"ends when it is resolved", func(s *intake) {
			start := time.Now()
			s.say(fires("s1", start), fires("s2", start))
			time.Sleep(time.Minute)
			s.say(ended("s1", start, time.Now()))
		}, []string{"s2"}},
		{"stays ended when an older message arrives late", func(s *intake) {
			start := time.Now()
			s.say(fires("s1", start))
			time.Sleep(time.Minute)
			s.say(ended("s1", start, time.Now()))
			time.Sleep(time.Second)
			s.say(fires("s1", start))
		}, nil},
		{"comes back with a new start at once", func(s *intake) {
			start := time.Now()
			s.say(fires("s1", start))
			time.Sleep(time.Minute)
			s.say(ended("s1", start, time.Now()))
			time.Sleep(time.Second)
			s.say(fires("s1", time.Now()))
		}, []string{"s1"}},
		{"comes back with its old start when it is said on and on", func(s *intake) {
			start := time.Now()
			s.say(fires("s1", start))
			time.Sleep(time.Minute)
			s.say(ended("s1", start, time.Now()))
			time.Sleep(disorder + time.Second)
			s.say(fires("s1", start))
		}, []string{"s1"}},
		{"is none when the alert is ignored or invalid", func(s *intake) {
			a, b := fires("s1", time.Now()), fires("s2", time.Now())
			a.Result, b.Result = webhook.Ignored, webhook.Invalid
			s.say(a, b)
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newIntake()
				tt.play(s)
				if d := cmp.Diff(tt.want, held(NewWebhook(s, nil, ttl).Read(t.Context()))); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func TestAWebhookIsBlindWhileNothingComesIn(t *testing.T) { // I6, I14, I26
	synctest.Test(t, func(t *testing.T) {
		s := newIntake()
		r := NewWebhook(s, nil, 5*time.Minute)
		if v := r.Read(t.Context()); v.AbsenceCounts() {
			t.Error("nothing ever came in, and absence counts")
		}
		dog := webhook.Alert{Result: webhook.Wanted, Firing: true, Labels: map[string]string{"remediation": Watchdog}}
		s.say(fires("s1", time.Now()))
		time.Sleep(4 * time.Minute)
		s.say(dog)
		said := time.Now()
		time.Sleep(2 * time.Minute)
		v := r.Read(t.Context())
		if len(v.Claims) != 0 || !v.AbsenceCounts() || !v.Watchdog.Equal(said) {
			t.Errorf("the watchdog keeps the way open: got %+v", v)
		}
		time.Sleep(4 * time.Minute)
		if v = r.Read(t.Context()); v.AbsenceCounts() || v.Blind[0] != "webhook: nothing came in for 5m0s" {
			t.Errorf("it is quiet, and absence counts: %+v", v)
		}
	})
	t.Run("and when the store can't be read", func(t *testing.T) {
		v := NewWebhook(broken{}, nil, 0).Read(t.Context())
		if v.AbsenceCounts() || len(v.Blind) != 1 || !strings.Contains(v.Blind[0], "disk") {
			t.Errorf("got %+v", v)
		}
	})
}

type broken struct{}

func (broken) Hints() (map[string]journal.Hint, error) { return nil, errors.New("disk on fire") }

func TestWebhookClaimsSurviveARestart(t *testing.T) { // I11
	path := filepath.Join(t.TempDir(), "sluice.db")
	j, err := journal.Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.SaveHints(Hints(webhook.Message{Alerts: []webhook.Alert{fires("s1", time.Now())}}, time.Now())); err != nil {
		t.Fatal(err)
	}
	before := NewWebhook(j, nil, 0).Read(t.Context())
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = journal.Open(path, time.Second); err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	after := NewWebhook(j, nil, 0).Read(t.Context())
	if d := cmp.Diff(before.Claims, after.Claims); d != "" || len(after.Claims) != 1 {
		t.Errorf("%d claims\n%s", len(after.Claims), d)
	}
}

// FuzzSplittingAndShuffling sends the same alerts in one message, and one by one
// in another order: the claims are the same. It drives the real handler.
func FuzzSplittingAndShuffling(f *testing.F) { // I24
	f.Add(uint64(1), []byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Add(uint64(2), []byte{8, 8, 8, 0, 16, 24, 1, 9, 255, 254})
	f.Add(uint64(3), []byte{1, 3, 1, 3, 1, 3, 64, 65, 66, 67})
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		synctest.Test(t, func(t *testing.T) {
			var alerts []json.RawMessage
			for _, b := range script[:min(len(script), 20)] {
				alerts = append(alerts, alertOf(b))
			}
			whole, split := newIntake(), newIntake()
			send(t, whole, alerts...)
			rnd := rand.New(rand.NewPCG(seed, 0))
			shuffled := slices.Clone(alerts)
			rnd.Shuffle(len(shuffled), func(i, k int) { shuffled[i], shuffled[k] = shuffled[k], shuffled[i] })
			for len(shuffled) > 0 {
				n := 1 + rnd.IntN(len(shuffled))
				send(t, split, shuffled[:n]...)
				shuffled = shuffled[n:]
			}
			if d := cmp.Diff(whole.hints, split.hints); d != "" {
				t.Fatalf("kept (-one message +split):\n%s", d)
			}
			a, b := NewWebhook(whole, nil, 0).Read(t.Context()), NewWebhook(split, nil, 0).Read(t.Context())
			if d := cmp.Diff(a, b); d != "" {
				t.Fatalf("claims (-one message +split):\n%s", d)
			}
		})
	})
}

func send(t *testing.T, s *intake, alerts ...json.RawMessage) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"version": "4", "alerts": append([]json.RawMessage{}, alerts...)})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	webhook.Handler(webhook.Options{Sink: s}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(string(body))))
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
}

// alertOf makes any of 256 alerts: few members, both states, some starts and ends,
// and some that are broken.
func alertOf(b byte) json.RawMessage {
	times := []string{"2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:01:00Z", "0001-01-01T00:00:00Z"}
	status := []string{"firing", "resolved"}[b&1]
	if b >= 240 {
		return json.RawMessage([]string{`{}`, `null`, `{"status":"firing","labels":{"a":"b"}}`, `{"status":"firing","labels":{"remediation":7}}`}[b&3])
	}
	return json.RawMessage(`{"status":"` + status + `","labels":{"remediation":"drain","member":"s` + string('0'+b>>1&3) +
		`"},"startsAt":"` + times[b>>3&3] + `","endsAt":"` + times[b>>5&3] + `"}`)
}
