package scenes

func probes() []Scene {
	const (
		site   = `{probe="site",target="https://shop.example/health"}`
		labels = exporter + `,probe="site",target="https://shop.example/health"`
	)
	verdict := func(host string) string {
		return `sluice_probe_up{probe="site",target="https://` + host + `.example/health"}`
	}
	return []Scene{
		{
			Alert: "ProbesMassFailure", Labels: exporter,
			Sick: Series{verdict("a"): "0", verdict("b"): "0", verdict("c"): "0", verdict("d"): "1"},
			Well: Series{verdict("a"): "0", verdict("b"): "1", verdict("c"): "1", verdict("d"): "1"},
		},
		{
			Alert: "ProbesLate", Labels: exporter,
			Sick: Series{"sluice_probe_late_total" + site: "+5", "sluice_probe_runs_total" + site: "+5"},
			Well: Series{"sluice_probe_late_total" + site: "=5", "sluice_probe_runs_total" + site: "+5"},
		},
		{
			Alert: "ProbesSuspended", Labels: exporter + `,reason="lag"`,
			Sick: Series{`sluice_probe_suspended{reason="lag"}`: "1"},
			Well: Series{`sluice_probe_suspended{reason="lag"}`: "0"},
		},
		{
			Alert: "ProbesNotCounted", Labels: exporter + `,probe="site"`,
			Sick: Series{`sluice_probe_unmade_total{probe="site"}`: "+5", `sluice_probe_ignored_total{probe="site",reason="lag"}`: "=0", "sluice_probe_runs_total" + site: "+5"},
			Well: Series{`sluice_probe_unmade_total{probe="site"}`: "=5", `sluice_probe_ignored_total{probe="site",reason="lag"}`: "=5", "sluice_probe_runs_total" + site: "+5"},
		},
		{
			Alert: "ExporterDown", Labels: exporter,
			Sick: Series{"up{" + exporter + "}": "0"},
			Well: Series{"up{" + exporter + "}": "1"},
		},
		{
			Alert: "ConfigReloadFailed", Labels: exporter,
			Sick: Series{"sluice_config_last_reload_successful": "0"},
			Well: Series{"sluice_config_last_reload_successful": "1"},
		},
		{
			Alert: "ProbeFailing", Labels: labels,
			Sick: Series{"sluice_probe_up" + site: "0"},
			Well: Series{"sluice_probe_up" + site: "1"},
		},
		{
			Alert: "ProbeSlow", Labels: labels,
			Sick: Series{"sluice_probe_duration_seconds" + site: "2"},
			Well: Series{"sluice_probe_duration_seconds" + site: "0.5"},
		},
		{
			Alert: "ProbeFlapping", Labels: labels,
			Sick: Series{"sluice_probe_up" + site: "0 1"},
			Well: Series{"sluice_probe_up" + site: "1"},
		},
		{
			Alert: "ProbeResultStale", Labels: labels,
			Sick: Series{"sluice_probe_success" + site: "1"},
			Well: Series{"sluice_probe_success" + site: "1", "sluice_probe_up" + site: "1"},
		},
		{
			Alert: "ProbeTargetsMissing", Labels: exporter + `,probe="site"`,
			Sick: Series{"sluice_probe_runs_total" + site: "=0"},
			Well: Series{"sluice_probe_runs_total" + site: "+1", "sluice_probe_success" + site: "0"},
		},
	}
}
