package main

const engine = "remediator"

// edits are all, by where they are made.
var edits = concat(engineEdits, ledgerEdits, limitEdits, wayEdits, wordEdits, journalEdits, replicaEdits, intakeEdits, deviceEdits, programEdits, peopleEdits, drillEdits, barrierEdits, loginEdits, accessEdits, lateEdits, announceEdits)

func concat(all ...[]edit) (out []edit) {
	for _, some := range all {
		out = append(out, some...)
	}
	return out
}

// never is a condition that was one.
func never(cond string) []change { return one("if "+cond+" {", "if false && ("+cond+") {") }

// neverCase is never of a case.
func neverCase(cond string) []change { return one("case "+cond+":", "case false && ("+cond+"):") }

// engineEdits are made in the engine.
var engineEdits = []edit{
	{ids: "I11", what: "the order goes out before the intent is recorded", dir: engine, texts: []change{
		{"	sent := k.send(ctx, acts)\n", ""},
		{"	if k.record(acts, true) != nil {\n", "	sent := k.send(ctx, acts)\n	if k.record(acts, true) != nil {\n"},
	}},
	{ids: "I11", what: "an intent that could not be recorded is carried out", dir: engine, texts: one("if k.record(acts, true) != nil {", "if k.record(acts, true) != nil && len(acts) == 0 {")},
	{ids: "I11", what: "what is about to be sent isn't recorded as that", dir: engine, texts: never("len(out) > 0 && k.record(out, false) != nil")},
	{ids: "I7, I11", what: "an intent that is found alone was sent", dir: engine, texts: neverCase("h.Phase == journal.Intent")},
	{ids: "I19", what: "a freeze between decision and order isn't seen", dir: engine, texts: neverCase(`stop.Reason != ""`)},
	{ids: "I1", what: "a pool that a step moves along isn't asked when its own was", dir: engine, texts: one("q == nil || !q.answers(t.member)", "q == nil")},
	{ids: "I14", what: "what is found beside doesn't break the proof that a bypass is over", dir: engine, texts: one("	k.unproved(p, m.In(), own, snap)\n", "")},
	{ids: "I16", what: "a lead that ended between decision and order isn't noticed", dir: engine, texts: neverCase(`lead.Reason != ""`)},
	{ids: "I17, I19", what: "what comes while a device is looked at for an order doesn't stop it", dir: engine, texts: one("if why := k.inTheWay(acts); len(why) > 0 {", "if why := k.inTheWay(acts); len(why) < 0 {")},
	{ids: "I17", what: "an order goes out long after its decision", dir: engine, texts: one("!stopped && age > freshest {", "!stopped && age > 1000*freshest {")},
	{ids: "I19", what: "a freeze that can't be read is none", dir: engine, texts: one(`unread: "the freeze can't be read: " + err.Error()`, `unread: ""`)},
	{ids: "I19", what: "without a journal it isn't frozen", dir: engine, texts: one("		return barriers{unread: r.broken.Error()}\n", "		return barriers{}\n")},
	{ids: "I19", what: "an unreadable journal is an error at start and no freeze", dir: engine, texts: one("		return r.setAside(o, err)\n", "		return err\n")},

	{ids: "I10", what: "an order without an answer has failed", dir: engine, texts: one("	k.verify(ctx, acts, sent)\n", `	if sent != nil {
		for _, a := range acts {
			k.failed(a.hold, a.hold.To, sent)
		}
		return
	}
	k.verify(ctx, acts, sent)
`)},
	{ids: "I10", what: "an order without an answer has worked", dir: engine, texts: one("	case k.unmoved(h, st):\n		k.failed(h, to, sent)\n", "	case sent != nil && !h.Undo:\n		k.applied(h, st, snap)\n	case k.unmoved(h, st):\n		k.failed(h, to, sent)\n")},
	{ids: "I10", what: "an outcome that could not be read is taken for a success", dir: engine, texts: one("		h.Phase = journal.Indeterminate\n		if k.put(h, journal.Entry{Event:", "		h.Phase = journal.Applied\n		if k.put(h, journal.Entry{Event:")},
	{ids: "I20", what: "what the device took has happened", dir: engine, texts: []change{
		{"	case k.unmoved(h, st):\n", "	case false && k.unmoved(h, st):\n"},
		{"	case !h.Undo && k.reached(h, st):\n", "	case !h.Undo:\n"},
	}},
	{ids: "I20", what: "what was given back isn't compared", dir: engine, texts: one("case h.Undo && k.reached(h, st):", "case h.Undo:")},
	{ids: "I20, I25", what: "what failed is tried again at once", dir: engine, texts: one("f.until = time.Now().Add(", "f.until = time.Now().Add(0 * ")},

	{ids: "I7", what: "somebody's change of what we hold isn't noticed", dir: engine, texts: one("return st.Marks == h.Left.Marks && st.Admin == h.Left.Admin && st.Address == h.Left.Address && ", "return ")},
	{ids: "I7", what: "what another look showed of somebody's change is forgotten", dir: engine, texts: one("theirs, is := k.r.noticed(h); is {", "theirs, is := k.r.noticed(h); is && false {")},
	{ids: "I7", what: "what another look showed just before the command is passed over", dir: engine, texts: one("if no = k.overtakenBy(a.hold); no.Reason != \"\" {", "if false {")},
	{ids: "I10", what: "our own command is noticed as somebody's change", dir: engine, texts: one(" || h.Changed.After(began)", "")},
	{ids: "I7", what: "what somebody changed under an order counts as ours", dir: engine, texts: one("	default:\n		k.supersede(h, st)\n	}\n}\n\n// applied", "	default:\n		k.applied(h, st, snap)\n	}\n}\n\n// applied")},
	{ids: "I7", what: "a pool that changed since the decision is written", dir: engine, texts: one("o := edge.Order{Version: acts[0].snap.Versions[pool.Name], ", "o := edge.Order{")},
	{ids: "I7", what: "a superseded hold is let go of at once", dir: engine, texts: one("now.Sub(h.ClaimSeen) > handBack", "now.Sub(h.ClaimSeen) > 0")},
	{ids: "I7", what: "a silence on a claim doesn't reach the guards", dir: engine, texts: one("Suppressed: c.Suppressed, By: by", "By: by")},
	{ids: "I6", what: "a superseded hold ends while the source is blind", dir: engine, texts: one("ended := k.r.view.AbsenceCounts() // a blind", "ended := true // a blind")},
	{ids: "I6", what: "a time limit ends while the source is blind", dir: engine, texts: one("	ended := k.r.view.AbsenceCounts()\n	k.r.mu.Unlock()\n	for m := range k.lapsed", "	ended := true\n	k.r.mu.Unlock()\n	for m := range k.lapsed")},
	{ids: "I2, I6", what: "a device without an answer has no members", dir: engine, texts: one("		k.cantLook(claimed, err)\n		return lookHeld\n", "		k.cantLook(claimed, err)\n")},
	{ids: "I6", what: "of several checks the best counts", dir: engine, texts: one("rank[e.Answer] > rank[worst.Answer]", "rank[e.Answer] < rank[worst.Answer]")},
	{ids: "I6", what: "of several checks the youngest counts", dir: engine, texts: one("	worst.At = oldest\n", "")},
	{ids: "I6", what: "a query without a number is well", dir: engine, texts: neverCase("math.IsNaN(float64(sample.Value))")},
	{ids: "I6", what: "a query without a sample is bad", dir: engine, texts: one(`e := guard.Evidence{Source: "prometheus", At:`, `e := guard.Evidence{Source: "prometheus", Answer: edge.No, At:`)},

	{ids: "I8", what: "a bypass is ended with ready, and not as it was", dir: engine, texts: one("		c.To = h.Preimage.Admin\n", "		c.To = edge.Ready\n")},
	{ids: "I8", what: "a switch is put to one fixed word", dir: engine, texts: one("			c.Mark = h.Preimage.Marks\n", "			c.Mark = \"ACTIVE_DETECTION\"\n")},
	{ids: "I8", what: "the preimage isn't kept", dir: engine, texts: one("	h.Preimage, _ = snap.State(t.member)\n", "")},
	{ids: "I8", what: "anything is as it was before", dir: engine, texts: one("return st.Marks == h.Preimage.Marks && st.Admin == h.Preimage.Admin\n", "return true\n")},

	{ids: "I9", what: "a member that is held is judged anew", dir: engine, texts: one("held || err != nil || ctx.Err() != nil {\n			continue", "err != nil || ctx.Err() != nil && held {\n			continue")},
	{ids: "I9", what: "the other pools of a step aren't held", dir: engine, texts: one("	for _, other := range along {\n		w.Held[other] = h\n	}\n", "")},
	{ids: "I3", what: "holds of the journal don't count", dir: engine, texts: one("		k.hasHeld(&w, h.Member, h.Along, held)\n", "		_ = held\n")},
	{ids: "I3", what: "what goes in the same write doesn't count as held", dir: engine, texts: one("			k.hasHeld(&w, a.hold.Member, a.hold.Along, guard.Held{To: a.hold.To})\n", "")},
	{ids: "I1", what: "what goes in the same write still serves", dir: engine, texts: one("				st.Serving = false\n", "")},
	{ids: "I1", what: "other pools that a step moves aren't judged", dir: engine, texts: one("		w.Along = k.along(p, m, snap)\n", "")},
	{ids: "I3", what: "a pool that is written whole is written again at once", dir: engine, texts: one("return max(0, every-time.Since(k.wrote[p]))", "return 0*every")},
	{ids: "I3, I18", what: "a restart forgets when a pool was written", dir: engine, texts: one("		k.wrote[e.Member.In()] = e.At\n", "		_ = e\n")},
	{ids: "I13, I18", what: "a restart forgets a bypass's time limit", dir: engine, texts: one("		k.lapsed[*e.Member] = e.At\n", "		_ = e\n")},

	{ids: "I13", what: "a lease never ends", dir: engine, texts: one("	over := now.After(h.LeaseUntil) &&", "	over := false && now.After(h.LeaseUntil) &&")},
	{ids: "I13", what: "anything renews a lease", dir: engine, texts: one("if until := c.badAt.Add(time.Duration(p.Lease)); !c.badAt.IsZero() &&", "if until := now.Add(time.Duration(p.Lease));")},
	{ids: "I13, I26", what: "the hard end of a hold calls nobody", dir: engine, texts: never("now.After(h.MaxUntil) && h.Paged.Before(h.MaxUntil)")},
	{ids: "I13", what: "a hold is never given back at its hard end", dir: engine, texts: never(`atMax && p.AtMax == "release" && k.own[h.Member].Answer == edge.Yes`)},
	{ids: "I13", what: "a bypass never comes to its time limit", dir: engine, texts: one("	if now.After(h.MaxUntil) {\n		k.lapse(h)", "	if false {\n		k.lapse(h)")},
	{ids: "I26", what: "the end of a lease isn't counted", dir: engine, texts: one("	k.r.metrics.expired.WithLabelValues(h.Member.Device, h.Member.Pool).Inc()\n", "")},

	{ids: "I14", what: "a bad result doesn't break a chain of good ones", dir: engine, texts: one("c.goodCount, c.goodSince, c.badAt = 0, time.Time{}, time.Now()", "c.badAt = time.Now()")},
	{ids: "I14", what: "an unknown result doesn't break a chain of good ones", dir: engine, texts: one("	default: // unknown breaks the chain, and proves nothing\n		c.goodCount, c.goodSince = 0, time.Time{}\n", "")},
	{ids: "I14", what: "one good result is as good as rise", dir: engine, texts: one("c.goodSince.IsZero() && c.goodCount >= ", "c.goodSince.IsZero() && c.goodCount >= 0*")},
	{ids: "I17", what: "evidence is never too old", dir: engine, texts: one("	freshest = 10 * time.Second\n", "	freshest = 10 * time.Hour\n")},
	{ids: "I17", what: "a claim is never too old", dir: engine, texts: one("ClaimAge: claimAge,", "ClaimAge: 1000 * claimAge,")},
	{ids: "I17", what: "a restarted device is taken for the same", dir: engine, texts: never("snap.Process != h.Process")},

	{ids: "I12", what: "what can't be kept before a write is written", dir: engine, texts: one(`		return fmt.Errorf("keep the object as it was: %w", err)`, "		return nil")},
	{ids: "I11", what: "the object before a write isn't in the journal", dir: engine, texts: one(`err := k.r.journal.Append(journal.Entry{Event: "image", Member: &pool, Before: i.Bytes,`, `err := k.r.journal.Append(journal.Entry{Event: "image", Member: &pool,`)},
	{ids: "I7, I1", what: "an object is put back although the guards refuse", dir: engine, texts: one("if no := out.Decision.Refusal; no != nil {", "if no := out.Decision.Refusal; no != nil && no.Guard == \"\" {")},

	{ids: "I22", what: "a webhook that anybody can send is a claim", dir: engine, texts: never("len(o.Config.Alertmanagers) == 0 && !o.Authenticated")},
	{ids: "I22", what: "the webhook is believed where there are Alertmanagers", dir: engine, texts: one("	if len(s.cfg.Alertmanagers) == 0 {\n		if r.journal == nil {", "	if true {\n		if r.journal == nil {")},
	{ids: "I21", what: "a claim on a policy that nobody configured is judged", dir: engine, texts: one("	case !known:\n		return no(\"unknown_policy\"", "	case !known && known:\n		return no(\"unknown_policy\"")},
	{ids: "I21", what: "an address selects every member", dir: engine, texts: one("if sameAddress(st.Address, c.Address) && ", "if st.Address != \"\" && ")},
	{ids: "I21", what: "text of an alert is shown as it is", dir: engine, texts: one("return strconv.QuoteToASCII(s)", "return s")},
	{ids: "I23", what: "a refusal isn't recorded", dir: engine, texts: one("	r.record(e)\n	logger :=", "	logger :=")},
	{ids: "I23", what: "a refused claim isn't counted", dir: engine, texts: one("	r.metrics.refusals.WithLabelValues(why.Guard, why.Reason).Inc()\n", "")},
	{ids: "I23", what: "a refused step isn't counted", dir: engine, texts: one("count := k.r.metrics.refusals.WithLabelValues(why.Guard, why.Reason)", "count := k.r.metrics.auditErrors")},
	{ids: "I23, I25", what: "the same refusal is recorded in every round", dir: engine, texts: never("r.said[subject] == what")},
	{ids: "modes", what: "a careful mode takes steps", dir: engine, texts: one("		k.wouldTakeOut(t, c, w, d)\n		return again\n", "		k.wouldTakeOut(t, c, w, d)\n")},
	{ids: "modes", what: "a careful mode gives back", dir: engine, texts: never("!acts(p.Mode) && !byHand")},
	{ids: "modes", what: "a policy's mode may be less careful than the ceiling", dir: engine, also: []string{"./cmd/sluice"}, texts: one("slices.Index(modes, p.Mode) > slices.Index(modes, c.Mode) &&", "false &&")},
}
