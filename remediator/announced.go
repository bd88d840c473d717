package remediator

import (
	"context"
	"fmt"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/alertmanager"
	"github.com/sluice-project/sluice/remediator/announce"
)

// buildPosters opens the Alertmanagers that people are told by.
func (s *settings) buildPosters() error {
	if s.cfg.Announce.Off() {
		return nil
	}
	for i, a := range s.cfg.Alertmanagers {
		p, err := announce.To(alertmanager.Server{URL: a.URL, HTTP: a.Client})
		if err != nil {
			return fmt.Errorf("alertmanagers[%d]: %w", i, err)
		}
		s.posters = append(s.posters, p)
	}
	return nil
}

// announce tells people until ctx ends. It follows the journal, and nothing waits for it.
func (r *Remediator) announce(ctx context.Context, set *settings) {
	if len(set.posters) == 0 {
		return
	}
	if r.base == "" && r.news("announce", "no links") {
		level.Info(r.logger).Log("msg", "announcements have no links, as --web.external-url isn't set")
	}
	o := announce.Options{
		Config: set.cfg.Announce, Journal: r.journal, To: set.posters, Base: r.base, Ended: r.ended,
		Acts: func(policy string, m edge.Member) bool {
			p, err := set.rule(policy, m)
			return err == nil && acts(p.Mode) && set.devices[m.Device] != nil
		},
		Memory: &r.announced, Logger: r.logger, Metrics: r.metrics.announce,
	}
	if e := set.cfg.Coordinator.Etcd; e != nil {
		o.Failover = time.Duration(e.TTL)
	}
	announce.New(o).Run(ctx)
}

// aim notes the members on which this keeper sees claims, for who wants to know that
// a claim has ended. Where that isn't known, nothing is.
func (k *keeper) aim(targets map[edge.Member]*target, known bool) {
	k.r.mu.Lock()
	defer k.r.mu.Unlock()
	if !known || !k.r.view.At.After(k.begun) || !k.r.view.AbsenceCounts() {
		delete(k.r.aims, k.name)
		return
	}
	aims := make(map[edge.Member]bool, len(targets))
	for m := range targets {
		aims[m] = true
	}
	k.r.aims[k.name] = aims
}

// ended says that no claim on the member is seen, for sure.
func (r *Remediator) ended(m edge.Member) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	aims, known := r.aims[m.Device]
	return known && !aims[m]
}
