package claims

import (
	"cmp"
	"context"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/alertmanager"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/remediator/webhook"
)

// DefaultTTL is how long a webhook's word lasts without being repeated: three
// rounds of the shipped route's repeat_interval (1 m), and a margin.
const DefaultTTL = 4 * time.Minute

// disorder is how long after a "resolved" a "firing" of the same episode is
// taken for a late copy. Messages of one group may overtake each other by
// a retry or two (Alertmanager #2447, #4008). Longer would be wrong: an alert
// that a quiet Prometheus let end comes back with its old start.
const disorder = 30 * time.Second

// A Store keeps what the webhook said; it is the [journal.Journal].
type Store interface {
	Hints() (map[string]journal.Hint, error)
}

// Webhook reads claims from what the webhook left in the journal. It is for
// installations without the API of an Alertmanager, and then the web layer must
// authenticate the webhook (SAFETY.md I22).
type Webhook struct {
	store   Store
	mapping *Mapping
	ttl     time.Duration
}

// NewWebhook makes a reader. A nil mapping knows our own labels only; a ttl of 0
// is [DefaultTTL].
func NewWebhook(store Store, mapping *Mapping, ttl time.Duration) *Webhook {
	if mapping == nil {
		mapping = new(Mapping)
	}
	return &Webhook{store, mapping, cmp.Or(ttl, DefaultTTL)}
}

// Hints turns a message into what the journal keeps: the wanted alerts, each
// joined with others of the same labels. The order of the alerts, and how
// they are spread over messages, make no difference (I24).
func Hints(m webhook.Message, now time.Time) []journal.Hint {
	var out []journal.Hint
	place := map[string]int{}
	for _, a := range m.Alerts {
		if a.Result != webhook.Wanted {
			continue
		}
		h := journal.Hint{Key: Key(a.Labels), Labels: a.Labels}
		if a.Firing {
			h.FiringStart, h.FiringAt = a.StartsAt, now
		} else {
			h.ResolvedEnd, h.ResolvedAt = a.EndsAt, now
		}
		if i, ok := place[h.Key]; ok {
			out[i] = out[i].Join(h)
			continue
		}
		place[h.Key] = len(out)
		out = append(out, h)
	}
	return out
}

// Read implements [Reader]. The webhook is blind while nothing at all has come
// in for the time to live: then claims end because nobody repeats them, and not
// because nothing burns.
func (w *Webhook) Read(context.Context) View {
	now := time.Now()
	v := View{Sources: []Source{{Name: "webhook"}}}
	hints, err := w.store.Hints()
	var last time.Time
	for _, h := range hints {
		last = later(last, h.Last())
		if !w.fires(h, now) {
			continue
		}
		if h.Labels[edge.LabelRemediation] == Watchdog {
			v.Watchdog = later(v.Watchdog, h.FiringAt)
			continue
		}
		if c, ok := w.mapping.Claim(h.Labels); ok {
			c.Source = "webhook"
			c.StartsAt, c.UpdatedAt, c.SeenAt = h.FiringStart, h.FiringAt, h.FiringAt
			v.Claims = append(v.Claims, c)
		}
	}
	switch {
	case err != nil:
		v.Sources[0].Blind = alertmanager.Reason(err)
	case now.Sub(last) > w.ttl:
		v.Sources[0].Blind = "nothing came in for " + w.ttl.String()
	}
	v.finish(now)
	return v
}

// fires says whether a hint still is a claim: said within the time to live, and
// not ended by a "resolved" of the same or a later episode.
func (w *Webhook) fires(h journal.Hint, now time.Time) bool {
	if h.FiringAt.IsZero() || now.Sub(h.FiringAt) > w.ttl {
		return false
	}
	if h.ResolvedAt.IsZero() || h.FiringStart.After(h.ResolvedEnd) {
		return true // never ended, or a new episode
	}
	return h.FiringAt.Sub(h.ResolvedAt) > disorder
}
