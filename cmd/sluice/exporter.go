package main

import (
	"net/http"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"

	"github.com/sluice-project/sluice/exporter"
)

func addExporter(app *kingpin.Application) (string, func(streams) error) {
	cmd := app.Command("exporter", "Probe members and targets, read the devices, and serve what was found as metrics. Changes nothing.")
	f := addServerFlags(cmd, ":9101")
	return cmd.FullCommand(), func(std streams) error {
		return f.start(std, "exporter", func(logger log.Logger, l *loaded) error { return runExporter(logger, l, f.web) })
	}
}

func runExporter(logger log.Logger, l *loaded, flags *webFlags) error {
	route, external, err := flags.paths()
	if err != nil {
		return err
	}
	reg := newRegistry()
	o := fleetOptions{logger: logger, calls: newAPICalls(reg)}
	devices, err := newFleet(l, o)
	if err != nil {
		return err
	}
	x, err := exporter.New(exporter.Options{
		Logger: logger, Registry: reg, Config: &l.Exporter, Fleet: devices, ExternalPath: external,
	})
	if err != nil {
		return err
	}
	keep := newKeeper(l, logger, reg, func(l *loaded) error {
		devices, err := newFleet(l, o)
		if err != nil {
			return err
		}
		return x.Apply(&l.Exporter, devices)
	})
	listeners, err := flags.listen()
	if err != nil {
		return err
	}
	s := site{
		own: map[string]http.Handler{
			"GET /metrics": x.Metrics(),
			"GET /scrape":  x.Scrape(),
			"GET /probe":   x.Probe(),
			"GET /{$}":     x.Landing(),
		},
		keep:  keep,
		ready: func() error { return nil },
	}
	return serve(newWebsite(listeners, flags.configFile, s.handler(route), logger), logger,
		actor{"exporter", x.Run},
		actor{"reload", keep.onHangup},
	)
}
