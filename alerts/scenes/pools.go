package scenes

func pools() []Scene {
	const (
		probeOfS2 = `sluice_probe_up{probe="shop",target="http://192.0.2.2:80/health",` + edgePool + `,member="s2"}`
		stateOfS2 = `sluice_member_admin_state{` + edgePool + `,member="s2"`
		serving1  = `sluice_member_serving{` + edgeMember + `}`
		serving2  = `sluice_member_serving{` + edgePool + `,member="s2"}`
		backup    = `haproxy_backend_backup_servers{device="edge1",proxy="shop"}`
		maint     = `,state="maint"}`
	)
	inMaint := func(what string) Maintenance {
		return Maintenance{what, Series{stateOfS1 + maint: "1", stateOfS2 + maint: "1"}, true}
	}
	return []Scene{
		{
			Alert: "MemberFailing", Labels: edgeMember, Other: "edge1",
			Sick: Series{probeOfS1: "0"},
			Well: Series{probeOfS1: "1"},
			// In maintenance it is the remediator that keeps its hands off, by its own
			// guard, and says so. The claim stays true until the member is well.
			In: []Maintenance{window(true), inMaint("a member in maint fails all the same")},
		},
		{
			Alert: "PoolBypass", Labels: edgePool, Other: "edge1",
			Sick: Series{probeOfS1: "0", probeOfS2: "0"},
			Well: Series{probeOfS1: "0", probeOfS2: "1"},
			In:   []Maintenance{window(true), inMaint("members in maint fail all the same")},
		},
		{
			Alert: "PoolNoMemberServing", Labels: edgePool, Other: "edge1",
			Sick: Series{serving1: "0", serving2: "0"},
			Well: Series{serving1: "1", serving2: "0"},
			In:   []Maintenance{window(true), inMaint("somebody took all out: clients get errors all the same")},
		},
		{
			Alert: "PoolOnBackup", Labels: edgePool, Other: "edge1",
			Sick: Series{serving1: "0", serving2: "0", backup: "1"},
			Well: Series{serving1: "1", serving2: "0", backup: "1"},
			In:   []Maintenance{window(true), inMaint("somebody took all out: its backup answers alone")},
		},
		{
			Alert: "PoolAllFailing", Labels: edgePool, Other: "edge1",
			Sick: Series{probeOfS1: "0", probeOfS2: "0"},
			Well: Series{probeOfS1: "0", probeOfS2: "1"},
			In:   []Maintenance{window(true), inMaint("members in maint fail all the same")},
		},
		{
			Alert: "PoolLowRedundancy", Labels: edgePool, Other: "edge1",
			Sick: Series{serving1: "1", serving2: "0", stateOfS1 + maint: "0", stateOfS2 + maint: "0"},
			Well: Series{serving1: "1", serving2: "1", stateOfS1 + maint: "0", stateOfS2 + maint: "0"},
			In: []Maintenance{
				window(true),
				{"a member in maint is no loss", Series{stateOfS2 + maint: "1"}, false},
			},
		},
		{
			Alert: "DeviceUnreachable", Labels: exporter + "," + edge + `,kind="haproxy"`, Other: "edge1",
			Sick: Series{`sluice_device_up{device="edge1",kind="haproxy"}`: "0"},
			Well: Series{`sluice_device_up{device="edge1",kind="haproxy"}`: "1"},
		},
	}
}
