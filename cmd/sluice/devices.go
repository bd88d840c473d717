package main

import (
	"fmt"

	"github.com/go-kit/log"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/remediator"
)

// newFleet builds the devices of a configuration, with each call logged.
func newFleet(l *loaded, logger log.Logger) (*fleet.Fleet, error) {
	f, err := fleet.New(l.Devices, fleet.Options{Trace: newDeviceLog(logger).call})
	if err != nil {
		return nil, fmt.Errorf("devices: %w", err)
	}
	return f, nil
}

// forRemediator hands the devices over by the small interface that the
// remediator knows them by.
func forRemediator(f *fleet.Fleet) map[string]remediator.Device {
	out := make(map[string]remediator.Device)
	for _, d := range f.Devices() {
		out[d.Name()] = d
	}
	return out
}
