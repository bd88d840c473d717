package main

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-project/sluice/test/crash/scene"
	"github.com/sluice-project/sluice/test/rig"
)

const (
	eachWithin = 30 * time.Second // bounds one member's way out, and its way back

	// So few of a pool fail before the scene is started anew: when many members of
	// a pool fall sick in a short time, the storm brake stops what is measured here.
	poolSize = 20
	perScene = 5
)

// drains lets members fail one after the other, each given back before the next,
// and measures from the webhook on.
func (s settings) drains(ctx context.Context) ([]row, error) {
	var outs, helds []time.Duration
	some := func(sc *scene.Scene) error {
		for _, m := range sc.Members[:min(perScene, s.members-len(outs))] {
			if err := m.Set(rig.Refuse); err != nil {
				return err
			}
			begin := time.Now()
			if err := sc.Say(ctx, true, m.Name); err != nil {
				return err
			}
			out, held, err := verified(ctx, sc, m.Name, eachWithin)
			if err != nil {
				return err
			}
			outs, helds = append(outs, out.Sub(begin)), append(helds, held.Sub(begin))
			if err := m.Set(rig.Serve); err != nil {
				return err
			}
			if err := sc.Say(ctx, false, m.Name); err != nil {
				return err
			}
			if err := rig.Await(ctx, eachWithin, m.Name+" to be given back", sc.Want(m.Name, rig.AdminReady)); err != nil {
				return err
			}
		}
		return nil
	}
	for len(outs) < s.members {
		if err := s.on(ctx, scene.Options{Members: poolSize}, some); err != nil {
			return nil, err
		}
	}
	line := func(name string, all []time.Duration) row {
		slices.Sort(all)
		n := len(all)
		return row{name, seconds(all[0]), seconds((all[(n-1)/2] + all[n/2]) / 2), seconds(all[n-1])}
	}
	return []row{
		{"", "min", "median", "worst"},
		line("webhook sent -> HAProxy has it drained", outs),
		line("webhook sent -> read back and recorded", helds),
	}, nil
}
