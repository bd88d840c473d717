package scenes

func ptaf() []Scene {
	const (
		waf    = `device="waf1"`
		pool   = waf + `,pool="shop"`
		member = pool + `,member="192.0.2.11:8080"`

		probe1 = `sluice_probe_up{probe="shop",target="http://192.0.2.11:8080/health",` + member + `}`
		probe2 = `sluice_probe_up{probe="shop",target="http://192.0.2.12:8080/health",` + pool + `,member="192.0.2.12:8080"}`

		down1 = `ptaf_backend_down{device="waf1",upstream="shop",backend="192.0.2.11:8080"}`
		down2 = `ptaf_backend_down{device="waf1",upstream="shop",backend="192.0.2.12:8080"}`
		down3 = `ptaf_backend_down{device="waf1",upstream="shop",backend="192.0.2.13:8080"}`

		requests = "ptaf_api_requests_total{" + waf
		seconds  = "ptaf_api_request_duration_seconds_bucket{" + waf + `,method="PATCH"`
	)
	window := Maintenance{"a window of the upstream", Series{`sluice_maintenance_active{device="waf1",pool="shop",name="upgrade"}`: "1"}, true}
	return []Scene{
		{
			Alert: "PTAFNodesDiverge", Labels: waf, Other: "waf1",
			Sick: Series{`ptaf_nodes_diverge{device="waf1"}`: "1"},
			Well: Series{`ptaf_nodes_diverge{device="waf1"}`: "0"},
		},
		{
			Alert: "PTAFNotActionable", Labels: waf, Other: "waf1",
			Sick: Series{`ptaf_actionable{device="waf1"}`: "0"},
			Well: Series{`ptaf_actionable{device="waf1"}`: "1", `sluice_remediation_device_read_only{device="waf1"}`: "0"},
		},
		{
			Alert: "PTAFUpstreamRefused", Labels: waf + `,upstream="shop"`, Other: "waf1",
			Sick: Series{`ptaf_upstream_refused{device="waf1",upstream="shop"}`: "1"},
			Well: Series{`ptaf_upstream_refused{device="waf1",upstream="shop"}`: "0"},
		},
		{
			Alert: "PTAFAPIErrors", Labels: exporter + "," + waf, Other: "waf1",
			Sick: Series{requests + `,method="GET",code="200"}`: "+5", requests + `,method="GET",code="500"}`: "+5"},
			Well: Series{requests + `,method="GET",code="200"}`: "+5", requests + `,method="GET",code="500"}`: "=5"},
		},
		{
			Alert: "PTAFApiUnreachable", Labels: waf + `,kind="ptaf"`, Other: "waf1",
			Sick: Series{`sluice_device_up{device="waf1",kind="ptaf"}`: "0"},
			Well: Series{`sluice_device_up{device="waf1",kind="ptaf"}`: "1"},
		},
		{
			Alert: "PTAFApiAuthFailing", Labels: exporter + "," + waf, Other: "waf1",
			Sick: Series{requests + `,method="GET",code="401"}`: "+1"},
			Well: Series{requests + `,method="GET",code="401"}`: "=1", requests + `,method="GET",code="200"}`: "+5"},
		},
		{
			Alert: "PTAFUpstreamServerDown", Labels: member, Other: "waf1",
			Sick: Series{probe1: "0", down1: "0"},
			Well: Series{probe1: "1", down1: "0"},
			In: []Maintenance{
				window,
				{"a backend that is taken out gets no traffic", Series{down1: "1"}, false},
			},
		},
		{
			Alert: "PTAFUpstreamNoServer", Labels: pool, Other: "waf1",
			Sick: Series{down1: "1", down2: "0", probe2: "0"},
			Well: Series{down1: "1", down2: "0", probe2: "1"},
			In: []Maintenance{
				window,
				{"somebody took all out: clients get errors all the same", Series{down2: "1"}, true},
			},
		},
		{
			Alert: "PTAFUpstreamLowRedundancy", Labels: pool, Other: "waf1",
			Sick: Series{down1: "0", down2: "1", down3: "1"},
			Well: Series{down1: "0", down2: "0", down3: "1"},
			In:   []Maintenance{window},
		},
		{
			Alert: "PTAFChangedElsewhere", Labels: pool, Other: "waf1",
			Sick: Series{`ptaf_upstream_last_modified_timestamp_seconds{device="waf1",upstream="shop"}`: "100 200"},
			Well: Series{`ptaf_upstream_last_modified_timestamp_seconds{device="waf1",upstream="shop"}`: "100"},
			In:   []Maintenance{window},
		},
		{
			Alert: "PTAFApplyFailed", Labels: exporter + "," + waf, Other: "waf1",
			Sick: Series{requests + `,method="PATCH",code="500"}`: "+1"},
			Well: Series{requests + `,method="PATCH",code="200"}`: "+1", requests + `,method="GET",code="500"}`: "+1"},
		},
		{
			Alert: "PTAFApplySlow", Labels: exporter + "," + waf, Other: "waf1",
			Sick: Series{seconds + `,le="5"}`: "+0", seconds + `,le="10"}`: "+5", seconds + `,le="+Inf"}`: "+5"},
			Well: Series{seconds + `,le="5"}`: "+5", seconds + `,le="10"}`: "+5", seconds + `,le="+Inf"}`: "+5"},
		},
		{
			Alert: "PTAFServerRecovered", Labels: member, Other: "waf1",
			Sick: Series{probe1: "1", down1: "1", "sluice_remediation_holds{" + pool + "}": "1"},
			Well: Series{probe1: "1", down1: "1", "sluice_remediation_holds{" + pool + "}": "0"},
			In:   []Maintenance{window},
		},
	}
}
