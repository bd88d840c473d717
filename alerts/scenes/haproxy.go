package scenes

const (
	edge       = `device="edge1"`
	edgePool   = `device="edge1",pool="shop"`
	edgeMember = `device="edge1",pool="shop",member="s1"`

	s1 = `{device="edge1",proxy="shop",server="s1"`
	s2 = `{device="edge1",proxy="shop",server="s2"`
	s3 = `{device="edge1",proxy="shop",server="s3"`

	probeOfS1 = `sluice_probe_up{probe="shop",target="http://192.0.2.1:80/health",` + edgeMember + `}`
	stateOfS1 = `sluice_member_admin_state{` + edgeMember
)

func haproxy() []Scene {
	const (
		status    = "haproxy_server_status"
		up        = `,state="UP"}`
		down      = `,state="DOWN"}`
		maint     = `,state="MAINT"}`
		responses = "haproxy_server_http_responses_total"
		flag      = "sluice_haproxy_server_admin_flag{" + edgeMember
		node1     = `haproxy_server_status{device="edge1",cluster="front1",proxy="shop",server="s1",state="UP"}`
		node2     = `haproxy_server_status{device="edge2",cluster="front1",proxy="shop",server="s1",state="UP"}`
		shop      = `{device="edge1",proxy="shop"`
		www       = `{device="edge1",proxy="www"}`
	)
	ofAll := Maintenance{"a window of the whole device", Series{`sluice_maintenance_active{device="edge1",pool="",name="upgrade"}`: "1"}, false}
	return []Scene{
		{
			Alert: "HAProxyStatsUnreachable", Labels: edge + `,kind="haproxy"`, Other: "edge1",
			Sick: Series{`sluice_device_up{device="edge1",kind="haproxy"}`: "0"},
			Well: Series{`sluice_device_up{device="edge1",kind="haproxy"}`: "1"},
		},
		{
			Alert: "HAProxyBackendNoServerInRotation", Labels: edgePool, Other: "edge1",
			Sick: Series{status + s1 + up: "0", status + s2 + up: "0"},
			Well: Series{status + s1 + up: "1", status + s2 + up: "0"},
			In: []Maintenance{
				window(true),
				{"all servers in MAINT: users get 503 all the same", Series{status + s1 + maint: "1", status + s2 + maint: "1"}, true},
			},
		},
		{
			Alert: "HAProxyBackendLowRedundancy", Labels: edgePool, Other: "edge1",
			Sick: Series{
				status + s1 + up: "1", status + s2 + up: "0", status + s3 + up: "0",
				status + s1 + maint: "0", status + s2 + maint: "0", status + s3 + maint: "0",
			},
			Well: Series{
				status + s1 + up: "1", status + s2 + up: "1", status + s3 + up: "0",
				status + s1 + maint: "0", status + s2 + maint: "0", status + s3 + maint: "0",
			},
			In: []Maintenance{
				window(true),
				{"the others in MAINT don't count", Series{status + s2 + maint: "1", status + s3 + maint: "1"}, false},
			},
		},
		{
			Alert: "HAProxyServerDown", Labels: edgeMember, Other: "edge1",
			Sick: Series{status + s1 + down: "1"},
			Well: Series{status + s1 + down: "0"},
			In:   []Maintenance{window(false), ofAll},
		},
		{
			Alert: "HAProxyServerFailingInRotation", Labels: edgeMember, Other: "edge1",
			Sick: Series{probeOfS1: "0", status + s1 + up: "1"},
			Well: Series{probeOfS1: "1", status + s1 + up: "1"},
			In: []Maintenance{
				window(true),
				{"a server in MAINT gets no traffic", Series{status + s1 + up: "0", status + s1 + maint: "1"}, false},
			},
		},
		{
			Alert: "HAProxyServerErrorOutlier", Labels: edgeMember, Other: "edge1",
			Sick: Series{
				responses + s1 + `,code="2xx"}`: "+60", responses + s1 + `,code="5xx"}`: "+60",
				responses + s2 + `,code="2xx"}`: "+120", responses + s2 + `,code="5xx"}`: "+0",
			},
			Well: Series{
				responses + s1 + `,code="2xx"}`: "+120", responses + s1 + `,code="5xx"}`: "+0",
				responses + s2 + `,code="2xx"}`: "+120", responses + s2 + `,code="5xx"}`: "+0",
			},
			In: []Maintenance{
				window(true),
				{"without traffic there are no errors", Series{responses + s1 + `,code="2xx"}`: "=9", responses + s1 + `,code="5xx"}`: "=9"}, false},
			},
		},
		{
			Alert: "HAProxyServerFlapping", Labels: edgeMember, Other: "edge1",
			Sick: Series{"haproxy_server_check_up_down_total" + s1 + "}": "+1", stateOfS1 + `,state="ready"}`: "1"},
			Well: Series{"haproxy_server_check_up_down_total" + s1 + "}": "=3", stateOfS1 + `,state="ready"}`: "1"},
			In: []Maintenance{
				window(true),
				{"somebody sets it to maint and back", Series{stateOfS1 + `,state="ready"}`: "1 0", stateOfS1 + `,state="maint"}`: "0 1"}, false},
			},
		},
		{
			Alert: "HAProxyBackendErrorRateHigh", Labels: edgePool, Other: "edge1",
			Sick: Series{"haproxy_backend_http_responses_total" + shop + `,code="2xx"}`: "+60", "haproxy_backend_http_responses_total" + shop + `,code="5xx"}`: "+60"},
			Well: Series{"haproxy_backend_http_responses_total" + shop + `,code="2xx"}`: "+60", "haproxy_backend_http_responses_total" + shop + `,code="5xx"}`: "=60"},
			In:   []Maintenance{window(true)},
		},
		{
			Alert: "HAProxyQueueing", Labels: edgePool, Other: "edge1",
			Sick: Series{"haproxy_backend_current_queue" + shop + "}": "5"},
			Well: Series{"haproxy_backend_current_queue" + shop + "}": "0"},
			In:   []Maintenance{window(true)},
		},
		{
			Alert: "HAProxyFrontendNearSessionLimit", Labels: edge + `,proxy="www"`, Other: "edge1",
			Sick: Series{"haproxy_frontend_current_sessions" + www: "90", "haproxy_frontend_limit_sessions" + www: "100"},
			Well: Series{"haproxy_frontend_current_sessions" + www: "70", "haproxy_frontend_limit_sessions" + www: "100"},
		},
		{
			Alert: "HAProxyRetriesHigh", Labels: edgePool, Other: "edge1",
			Sick: Series{"haproxy_backend_retry_warnings_total" + shop + "}": "+60", "haproxy_backend_connection_attempts_total" + shop + "}": "+600"},
			Well: Series{"haproxy_backend_retry_warnings_total" + shop + "}": "=60", "haproxy_backend_connection_attempts_total" + shop + "}": "+600"},
			In:   []Maintenance{window(true)},
		},
		{
			Alert: "HAProxyServerLeftOutOfRotation", Labels: edgeMember, Other: "edge1",
			Sick: Series{flag + `,flag="forced_maint"}`: "1"},
			Well: Series{flag + `,flag="forced_maint"}`: "0"},
			In: []Maintenance{
				window(false), ofAll,
				{"by the configuration", Series{flag + `,flag="config_maint"}`: "1"}, false},
			},
		},
		{
			Alert: "HAProxyNodesDisagree", Labels: `cluster="front1",pool="shop",member="s1"`, Other: "front1",
			Sick: Series{node1: "1", node2: "0"},
			Well: Series{node1: "1", node2: "1"},
			In: []Maintenance{
				window(false),
				{"a window of another pool", Series{`sluice_maintenance_active{device="edge1",pool="web",name="upgrade"}`: "1"}, true},
			},
		},
		{
			Alert: "HAProxyRestarted", Labels: edge, Other: "edge1",
			Sick: Series{`haproxy_process_start_time_seconds{device="edge1"}`: "100 200"},
			Well: Series{`haproxy_process_start_time_seconds{device="edge1"}`: "100"},
		},
		{
			Alert: "HAProxyDroppingLogs", Labels: edge, Other: "edge1",
			Sick: Series{`haproxy_process_dropped_logs_total{device="edge1"}`: "+5"},
			Well: Series{`haproxy_process_dropped_logs_total{device="edge1"}`: "=5"},
		},
	}
}
