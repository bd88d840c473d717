package announce

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/client/alert"
	"github.com/prometheus/alertmanager/api/v2/models"

	"github.com/sluice-project/sluice/remediator/alertmanager"
)

const (
	postTimeout = 10 * time.Second // of one request
	postAlerts  = 200              // in one request
	firstRetry  = time.Second
	lastRetry   = 30 * time.Second
)

// A Message is an alert as an Alertmanager is told of it.
type Message struct {
	Alert
	Ends time.Time // ahead while it fires
}

// A told is what one Alertmanager knows, or may know, of an alert.
type told struct {
	alert Alert
	at    time.Time // when it last took it; zero when it never surely did
	until time.Time // when it ends there by itself
	ended time.Time // when it was over; zero while it fires
}

// A Memory is what each Alertmanager was told by this process, over reloads and terms
// of leading. One announcer at a time has it, from [New] until its Run returns.
type Memory struct{ told map[string]map[string]*told } // by name, and by key of the alert

// A sender tells one Alertmanager.
type sender struct {
	to      Poster
	repeat  time.Duration
	life    time.Duration
	logger  log.Logger
	metrics *Metrics

	mu      sync.Mutex
	want    map[string]Alert
	changed chan struct{}

	// What follows is the goroutine's own.
	told  map[string]*told
	retry time.Duration // how long it waits after a failure; zero after none
}

// say replaces what is to fire. It never waits.
func (s *sender) say(want map[string]Alert) {
	s.mu.Lock()
	s.want = want
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// run tells until ctx ends.
func (s *sender) run(ctx context.Context) {
	s.metrics.know(s.to.Name())
	for ctx.Err() == nil {
		batch, next := s.due(time.Now())
		changed := s.changed
		if len(batch) > 0 {
			if err := s.post(ctx, batch); err != nil {
				if ctx.Err() != nil {
					return
				}
				s.failed(err)
				next, changed = time.Now().Add(s.retry), nil // however much there is to say by then
			} else {
				s.worked()
				continue
			}
		}
		var clock <-chan time.Time
		if !next.IsZero() {
			clock = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-clock:
		}
	}
}

// due is what has to be said now, and when something is the next time.
func (s *sender) due(now time.Time) (batch []Message, next time.Time) {
	s.mu.Lock()
	want := s.want
	s.mu.Unlock()
	if want == nil {
		return nil, next // nobody has looked yet
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		one, t := want[key], s.told[key]
		if t == nil || t.at.IsZero() || !t.ended.IsZero() || now.Sub(t.at) >= s.repeat {
			batch = append(batch, Message{one, now.Add(s.life)})
			continue
		}
		next = sooner(next, t.at.Add(s.repeat))
	}
	for _, key := range slices.Sorted(maps.Keys(s.told)) {
		t := s.told[key]
		if _, fires := want[key]; fires {
			continue
		}
		first := t.ended.IsZero()
		if first {
			t.ended = now
		}
		switch {
		case !now.Before(t.until):
			delete(s.told, key) // it has ended there by itself
		case first || now.Sub(t.at) >= s.repeat:
			// Said again until it would have ended anyway, as Prometheus does: where the
			// clocks differ, an end that still lies ahead there is none.
			batch = append(batch, Message{t.alert, t.ended})
		default:
			next = sooner(next, sooner(t.until, t.at.Add(s.repeat)))
		}
	}
	return batch, next
}

// post tells all, a part at a time, and notes what is known by then. A part that is
// refused for what it holds keeps none of the others back.
func (s *sender) post(ctx context.Context, batch []Message) (refused error) {
	for part := range slices.Chunk(batch, postAlerts) {
		now := time.Now()
		limited, cancel := context.WithTimeout(ctx, postTimeout)
		err := s.to.Post(limited, part)
		cancel()
		s.metrics.posted(s.to.Name(), len(part), err)
		for _, m := range part {
			s.note(m, now, err)
		}
		var code alertmanager.StatusError
		switch {
		case errors.As(err, &code) && (code == http.StatusBadRequest || code == http.StatusRequestEntityTooLarge):
			refused = err
		case err != nil:
			return err
		}
	}
	return refused
}

// note keeps what the Alertmanager may know of an alert from now on.
func (s *sender) note(m Message, now time.Time, err error) {
	key, fires := m.key(), m.Ends.After(now)
	t := s.told[key]
	switch {
	case err != nil && (!fires || !mayKnow(err)):
		if t != nil && !fires {
			t.at = time.Time{} // said again with the next try
		}
		return
	case t == nil:
		t = new(told)
		s.told[key] = t
	}
	t.alert = m.Alert
	if fires {
		t.ended, t.until = time.Time{}, m.Ends
	}
	if t.at = now; err != nil {
		t.at = time.Time{}
	}
}

// mayKnow says whether an Alertmanager may have taken what it gave no good answer to.
func mayKnow(err error) bool {
	var code alertmanager.StatusError
	if errors.As(err, &code) {
		return code == http.StatusBadRequest || code >= 500 // 400: it took those that are sound
	}
	var op *net.OpError
	return !errors.As(err, &op) || op.Op != "dial"
}

func (s *sender) failed(err error) {
	if s.retry == 0 {
		level.Warn(s.logger).Log("msg", "announcements are not taken", "err", alertmanager.Reason(err))
	}
	s.retry = min(max(2*s.retry, firstRetry), lastRetry)
}

func (s *sender) worked() {
	if s.retry != 0 {
		level.Info(s.logger).Log("msg", "announcements are taken again")
	}
	s.retry = 0
}

// To opens an Alertmanager for posting.
func To(server alertmanager.Server) (Poster, error) {
	api, err := alertmanager.Open(server)
	return poster{api}, err
}

type poster struct{ api alertmanager.API }

// Name is [Poster]'s.
func (p poster) Name() string { return p.api.Name }

// Post is [Poster]'s.
func (p poster) Post(ctx context.Context, messages []Message) error {
	all := make(models.PostableAlerts, 0, len(messages))
	for _, m := range messages {
		if m.Ends.Before(m.Starts) {
			m.Starts = m.Ends // a clock was set back; it would be refused, and we would try again and again
		}
		all = append(all, &models.PostableAlert{
			Alert:       models.Alert{Labels: m.Labels, GeneratorURL: strfmt.URI(m.Link)},
			Annotations: m.Annotations, StartsAt: strfmt.DateTime(m.Starts), EndsAt: strfmt.DateTime(m.Ends),
		})
	}
	_, err := p.api.Alerts.PostAlerts(alert.NewPostAlertsParamsWithContext(ctx).WithAlerts(all))
	return err
}
