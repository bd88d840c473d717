package main

// drillEdits are made in what tells a drill from a claim.
var drillEdits = []edit{
	{ids: "I2, I22", what: "the alert of a drill is a claim", dir: "remediator/claims", texts: one("		return c.Drill != \"\"\n	})\n	return drills", "		return false\n	})\n	return drills"), also: []string{"./remediator"}},
	{ids: "I22", what: "a webhook about a drill is a hint", dir: "remediator/webhook", texts: one("a.Labels[edge.LabelDrill] != \"\":", "false:"), also: []string{"./remediator"}},
	{ids: "I22", what: "a webhook about a drill alone wakes the engine", dir: engine, texts: never("!slices.ContainsFunc(m.Alerts, func(a webhook.Alert) bool { return a.Result != webhook.Drill }) && len(m.Alerts) > 0")},
	{ids: "I23, I26", what: "a mark that nobody announced is passed over", dir: engine, texts: one("		if !refuse {\n			continue", "		if true {\n			continue")},
	{ids: "I2, I23", what: "a known mark makes a drill of any alert", dir: engine, texts: one("v.At.Before(d.Until) && maps.Equal(d.Labels, c.Labels) {", "v.At.Before(d.Until) {")},
	{ids: "I17", what: "a mark is good for ever", dir: engine, texts: one("ok && v.At.Before(d.Until) && maps.Equal", "ok && maps.Equal")},
	{ids: "I26", what: "a marked watchdog is a sign of life", dir: "remediator/claims", texts: one("== Watchdog && ls[edge.LabelDrill] == \"\" {", "== Watchdog {")},
	{ids: "I7", what: "a silence on a drill isn't told", dir: engine, texts: one("		c.Suppressed, c.SilencedBy = as.Suppressed, as.SilencedBy\n", "")},
	{ids: "I23", what: "a screen that only looks gives orders", dir: "ctl/top", texts: neverCase("!m.orders")},
	{ids: "I23", what: "any key is a yes", dir: "ctl/top", texts: never("k.r != 'y' && k.r != 'Y'")},
	{ids: "I10", what: "the screen leaves before a step's outcome is known", dir: "ctl/top", texts: one("				m.finish(<-orders)\n", "				m.busy = false\n")},
	{ids: "I3", what: "any number of drills at once", dir: "remediator/journal", texts: one("open >= maxOpenDrills {", "open < 0 {")},
	{ids: "I23", what: "a drill that another replica announced isn't recorded", dir: engine, texts: one("	if r.coordinator.Status().Leased {\n		return now\n	}\n", "")},
}
