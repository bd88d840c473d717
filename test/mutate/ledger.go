package main

const guarding = "remediator/guard"

var engineToo = []string{"./remediator"}

// ledgerEdits are made in what the engine remembers of all devices together.
var ledgerEdits = []edit{
	{ids: "I3, I18", what: "a restart forgets what was taken out", dir: engine, texts: one("		l.outs[m] = append(l.outs[m], e.At)\n", "		_ = m\n")},
	{ids: "I3, I18", what: "a restart forgets what a step moved along", dir: engine, texts: one("append([]edge.Member{*e.Member}, e.Along...) {\n		l.outs", "[]edge.Member{*e.Member} {\n		l.outs")},
	{ids: "I3, I15", what: "from drain to maint is a second time out, after a restart", dir: engine, texts: one("e.Member == nil || e.Reason == reasonFurther || e.Result != \"applied\" || e.To != journal.Applied || !out", "e.Member == nil || e.Result != \"applied\" || e.To != journal.Applied || !out")},
	{ids: "I14", what: "an older good answer outlasts a newer bad one", dir: engine, texts: one("res.evidence.Answer == edge.Yes && res.evidence.At.Before(c.last)", "res.evidence.Answer == edge.Yes && false")},
	{ids: "I14", what: "a way back that was overtaken is gone all the same", dir: engine, texts: one("slices.DeleteFunc(k.queue[p], k.overtaken)", "k.queue[p]")},
	{ids: "I14", what: "what failed since it was queued isn't overtaken", dir: engine, texts: one("	return c.goodSince.IsZero()\n}", "	return false\n}")},
	{ids: "I10", what: "half an order is somebody's change", dir: engine, texts: one("	case k.half(h, st):\n", "	case false && k.half(h, st):\n")},
	{ids: "I17, I25", what: "an order waits for the questions to other pools", dir: engine, texts: one("		k.flush(ctx, m.In()) //", "		//")},
	{ids: "modes", what: "a lowered mode doesn't stop further steps", dir: engine, texts: one("	if !acts(p.Mode) { // lowered since", "	if false { // lowered since")},
	{ids: "I26", what: "that another wrote first is a failure of the journal", dir: engine, texts: one("!errors.Is(err, journal.ErrConflict) && !errors.Is", "!errors.Is")},
	{ids: "I3, I15", what: "what isn't read at the start is taken for nothing", dir: engine, texts: one("	if err != nil {\n		return err\n	}\n	l.mu.Lock()\n	defer l.mu.Unlock()\n	clear(l.outs)", "	if err != nil {\n		entries = nil\n	}\n	l.mu.Lock()\n	defer l.mu.Unlock()\n	clear(l.outs)")},
	{ids: "I3", what: "what is decided and not recorded yet spends no budget", dir: engine, texts: one("	for m := range l.booked {\n		w.Spent.Steps++\n		w.Spent.Pool[m.In()]++\n	}\n", "")},
	{ids: "I3", what: "what is decided isn't booked", dir: engine, texts: one("		k.r.ledger.book(t.member, q.snap.Along[t.member])\n", "")},
	{ids: "I3", what: "what a step moves along isn't booked", dir: engine, texts: one("book(t.member, q.snap.Along[t.member])", "book(t.member, nil)")},
	{ids: "I3", what: "two devices decide at once", dir: engine, texts: one("	k.r.ledger.deciding.enter()\n	defer k.r.ledger.deciding.leave()\n", "")},
	{ids: "I3", what: "holds on other devices spend no budget", dir: engine, texts: one("	w.Spent.Held = len(held)\n", "	w.Spent.Held = len(l.booked)\n")},
	{ids: "I3", what: "what a hold moves along isn't held", dir: engine, texts: one("			for _, other := range h.Along {\n				held[other] = true\n			}\n", "")},
	{ids: "I3", what: "steps on other devices spend no budget", dir: engine, texts: one("		w.Spent.Steps += n\n		w.Spent.Pool[m.In()]", "		if m.Device == w.Snapshot.Device {\n			w.Spent.Steps += n\n		}\n		w.Spent.Pool[m.In()]")},
	{ids: "I3, I15", what: "a step that was done isn't remembered", dir: engine, texts: one("		k.r.ledger.took(h.Member, h.Along, h.Since, k.set.cfg.horizon())\n", "")},
	{ids: "I15", what: "the guards aren't told when a member was out before", dir: engine, texts: one("			w.Outs = append(w.Outs, t)\n", "			_ = t\n")},

	{ids: "I4", what: "a storm ends with the storm", dir: engine, texts: one("	l.storm.Until, l.storm.Why = now.Add(cooldown), why\n", "	l.storm.Until, l.storm.Why = now, why\n")},
	{ids: "I4", what: "the guards aren't told of the last storm", dir: engine, texts: one("	w.Storm = l.storm\n", "")},
	{ids: "I4, I18", what: "a restart forgets a storm", dir: engine, texts: one("			l.storm.Until, l.storm.Why, l.noted = until, e.Detail, e.At\n", "")},
	{ids: "I4, I18", what: "a storm isn't recorded", dir: engine, texts: one("		k.r.record(journal.Entry{Event: eventBrake, Guard: \"brake\", Reason: \"storm\", Detail: why})\n", "")},
	{ids: "I4", what: "an alert that a person silenced makes a storm", dir: engine, texts: one("loud = loud || !c.Suppressed", "loud = true")},
	{ids: "I4", what: "what was sick before this process makes a storm", dir: engine, texts: one("				at = c.StartsAt // it was sick before this process was there\n", "				_ = c\n")},
	{ids: "I4", what: "what is well again by now never fell sick", dir: engine, texts: one("targets[m] == nil && now.Sub(o.At) > window", "targets[m] == nil && now.Sub(o.At) > 0*window")},
	{ids: "I4", what: "nobody is told that our own probes changed", dir: engine, texts: one("	l.storm.Changed = now\n", "	_ = now\n")},

	{ids: "I20, I18", what: "a restart forgets steps that didn't help", dir: engine, texts: one("			l.idle[e.Member.In()]++\n", "")},
	{ids: "I20", what: "the guards aren't told of steps that didn't help", dir: engine, texts: one("	w.Ineffective = l.idle[m.In()]\n", "")},
	{ids: "I20", what: "a restart forgets that a person looked at the pool", dir: engine, texts: one("		case eventReleaseAsked:", "		case eventReleaseAsked + \"?\":")},
	{ids: "I20", what: "a person's release doesn't end the count of steps that didn't help", dir: engine, texts: one("			r.ledger.effect(m.In(), effective) // somebody has looked at the pool\n", "")},
	{ids: "I20", what: "a restart forgets that a person lifted a freeze", dir: engine, texts: one("			l.looked(scope)\n", "			_ = scope\n")},
	{ids: "I20", what: "what too little is known of has helped", dir: engine, texts: neverCase("e.Before < 0 || after.answers < effectAnswers")},
	{ids: "I20", what: "too few answers tell that a step didn't help", dir: engine, texts: one("e.Before < 0 || after.answers < effectAnswers", "e.Before < 0")},
	{ids: "I20", what: "a member that is picked although it is out was taken out", dir: engine, texts: neverCase("st.Chosen > e.Chosen")},
	{ids: "I20", what: "a pool that fails more often than before was helped", dir: engine, texts: neverCase("after.share() > e.Before+effectSlack")},
}

// limitEdits are made in the guards, where neither a row nor a branch is the safety.
var limitEdits = []edit{
	{ids: "I3", what: "what a step moves along counts for nothing in the budget of all", dir: guarding, texts: one("moved := 1 + len(w.along(s))", "moved := 1")},
	{ids: "I1", what: "what waits in the queue is no load", dir: guarding, texts: one("need += st.Sessions + st.Queue", "need += st.Sessions")},
	{ids: "I5", what: "our own results make a panic", dir: guarding, texts: one("	w.Own = nil\n", "")},
	{ids: "I5", what: "a panic is no reason to come back early", dir: guarding, texts: one("short := Panics(s.Member, w); short != \"\"", "short := Panics(s.Member, w); short == \"-\"")},
	{ids: "I1", what: "what is tried with little traffic serves", dir: guarding, texts: one(" && !w.Held[st.Member].Trial && ", " && ")},
	{ids: "I15", what: "the next trial comes as soon as the last", dir: guarding, also: engineToo, texts: one("if need *= 2;", "if need *= 1;")},
	{ids: "I15", what: "a flapper comes back like any other", dir: guarding, also: engineToo, texts: one("return max(need, wait+w.Now.Sub(w.Held[m].GoodSince)), fmt", "return need, fmt")},
	{ids: "I15", what: "a penalty has no ceiling", dir: guarding, texts: one("min(decayed(t)+d.Penalty, d.Ceiling())", "max(decayed(t)+d.Penalty, 0*d.Ceiling())")},
	{ids: "I7", what: "maintenance is no reason not to come back", dir: guarding, also: engineToo, texts: one("	case s.ByHand:\n		return \"\", \"in maintenance, yet", "	case s.ByHand || !s.takesOut():\n		return \"\", \"in maintenance, yet")},
	{ids: "I4", what: "an onset counts for ever", dir: guarding, texts: one("if o, fell := w.Onsets[st.Member]; fell && w.Now.Sub(o.At) <= b.Window {", "if _, fell := w.Onsets[st.Member]; fell {")},
	{ids: "I23", what: "a world is kept without its budgets", dir: guarding, texts: one("		Spent: spentRecord{Held: w.Spent.Held, Steps: w.Spent.Steps},\n", "		Spent: spentRecord{},\n")},
	{ids: "I23", what: "a world is kept without the other pools of the step", dir: guarding, texts: one("		pools[other.In()] = true\n", "		_ = other\n")},
}

// wayEdits are made in what goes on from step to step, on the way out and back.
var wayEdits = []edit{
	{ids: "I13", what: "drain_wait has no end", dir: engine, texts: one("sessions > 0 && waited < limit ||", "sessions > 0 && waited < 1000*limit ||")},
	{ids: "I15, I20", what: "what fails again on its way back stays in", dir: engine, texts: neverCase(`why != ""`)},
	{ids: "I20", what: "the device's own check isn't heard on the way back", dir: engine, texts: neverCase("st.Check == edge.No")},
	{ids: "I20", what: "a claim on the way back isn't heard", dir: engine, texts: neverCase("t != nil && p.Confirm == \"traffic\" && e.Answer != edge.Yes")},
	{ids: "I14", what: "what little is heard of on its way back is well at once", dir: engine, texts: one("max(patience*watch, leastPatience)", "0*max(patience*watch, leastPatience)")},
	{ids: "I7", what: "a weight that somebody set while the member was out is lowered", dir: engine, texts: neverCase("st.Share != h.Left.Share")},
	{ids: "I10", what: "half of our own order is somebody's change", dir: engine, texts: neverCase("k.half(h, st)")},
	{ids: "I26", what: "nobody is told of a journal that was taken away", dir: engine, texts: one("	return r.found(o, isNew)\n", "	_ = isNew\n	return nil\n")},
	{ids: "I14", what: "a member on its way back isn't watched for long enough", dir: engine, texts: one("now.Sub(h.StageAt) < watch:", "now.Sub(h.StageAt) < 0*watch:")},
	{ids: "I8", what: "a member comes back with the weight of its trial", dir: engine, texts: one("		if h.Left.Share != h.Preimage.Share { // it was lowered on its way back\n			c.Share = h.Preimage.Share\n		}\n", "")},
	{ids: "I8", what: "a member that goes out again keeps the weight of its trial", dir: engine, texts: one("			goal.Share = h.Preimage.Share\n", "")},
	{ids: "I7", what: "somebody's change of a weight on the way back isn't noticed", dir: engine, texts: one(" && (!lowered(h) || st.Share == h.Left.Share)", "")},
	{ids: "I13", what: "a weight that the device refuses keeps the member out", dir: engine, texts: one("		h.Direct = h.Direct || h.Goal != nil && h.Goal.Share != 0 // back at once then, rather than never\n", "")},
	{ids: "I10, I20", what: "a weight that wasn't taken was", dir: engine, texts: never("want.Share != 0 && st.Share != want.Share")},
	{ids: "I13", what: "what a restarted device forgot is taken out again past its hard end", dir: engine, texts: neverCase("w.Now.After(h.MaxUntil)")},
	{ids: "I7", what: "in a careful mode what a restarted device forgot is taken out again", dir: engine, texts: neverCase("k.mode(p, h.Member, w) != Auto")},
	{ids: "I17", what: "a member on its way back when the device restarted is taken out again", dir: engine, texts: one("	case h.Stage == stageProbation && st.Share != h.Left.Share:", "	case h.Stage == \"-\":")},
	{ids: "I8", what: "a weight of ours that a state file kept is nobody's", dir: engine, texts: one("	case h.Stage == stageProbation && st.Share != h.Left.Share:", "	case h.Stage == stageProbation:")},
	{ids: "I5", what: "a claim holds up what a pool in panic needs", dir: engine, texts: one("if !good || t != nil && !short {", "if !good || t != nil {")},
	{ids: "I5", what: "a pool in panic waits for hold_down", dir: engine, texts: one("wait > 0 && !short {", "wait > 0 {")},
	{ids: "I5", what: "a pool in panic gets its member back by steps", dir: engine, texts: one("!w.AtMax && guard.Panics(h.Member, w) == \"\" && k.begin", "!w.AtMax && k.begin")},

	{ids: "I6", what: "too few answers are a result", dir: engine, texts: neverCase("c.answers < uint64(t.Requests)")},
	{ids: "I6", what: "errors of the whole pool are a member's", dir: engine, texts: one(" && c.share() >= float64(t.Ratio)*rest.share():", ":")},
	{ids: "I6", what: "counters that began anew are counted on", dir: engine, texts: never("snap.Process != f.process")},
	{ids: "I6", what: "counters that were cleared are counted on", dir: engine, texts: one("if !known || b.answers < a.answers || b.errors < a.errors {", "if !known {")},
}

// wordEdits are made in what people said, and in what is told to them.
var wordEdits = []edit{
	{ids: "I17", what: "an approval serves twice", dir: engine, texts: one("		h.Answer = nil // it has served\n", "")},
	{ids: "I17", what: "an approval outlives a guard's no", dir: engine, texts: one("		c.Answer = nil // a word that was judged against, or came too late, is used up; a no stands\n", "")},
	{ids: "I7, I17", what: "a no is used up like a yes", dir: engine, texts: one("c.Answer != nil && c.Answer.Yes {", "c.Answer != nil {")},
	{ids: "I17", what: "another pool's policy that wants an approval isn't asked", dir: engine, texts: one("				w.Policy.Approve = w.Policy.Approve || rules.Mode == Approve\n", "")},
	{ids: "I7", what: "the hours of another pool that a step moves don't count", dir: engine, texts: one("cmp.Or(w.Closed, rules.closed(w.Now))", "cmp.Or(w.Closed)")},
	{ids: "modes", what: "the mode of another pool that a step moves doesn't count", dir: engine, texts: one("	t.mode = k.mode(t.policy, t.member, w)\n", "	t.mode = t.policy.Mode\n")},
	{ids: "I17", what: "an approval never ends", dir: engine, texts: one("Until: now.Add(ttl), Yes: yes", "Until: now.Add(1000 * ttl), Yes: yes")},
	{ids: "I17", what: "a word on a step that waits for none is kept", dir: engine, texts: one("(all[i].Phase == journal.AwaitingApproval || all[i].Answer != nil)", "all[i].Phase != \"\"")},
	{ids: "I7", what: "what a person had given back is taken out again", dir: engine, texts: one("cmp.Or(w.Released, k.candidates[one].Released)", "cmp.Or(w.Released, \"\")\n		_ = one")},
	{ids: "I7", what: "nobody remembers who had a member given back", dir: engine, texts: one(`	if h.ReleaseBy == "" {`, "	if true {")},
	{ids: "I6", what: "a candidate is closed while the source is blind", dir: engine, texts: one("	if !ended {\n		return\n	}\n	for m, c := range k.candidates {", "	if false && !ended {\n		return\n	}\n	for m, c := range k.candidates {")},
	{ids: "I7", what: "it acts outside active hours", dir: engine, texts: one("		w.Closed = p.closed(w.Now)\n", "")},
	{ids: "I7", what: "it acts in a maintenance window", dir: engine, texts: one("w.Windows, w.Made = k.set.cfg.in(w.Now, moved...), ", "w.Windows, w.Made = nil, ")},
	{ids: "I23", what: "what passed without a step isn't told", dir: engine, texts: one("		if c.Would == DryRun {\n			took :=", "		if false {\n			took :=")},
	{ids: "I23", what: "a step's world isn't recorded", dir: engine, texts: one("World: record(w, t.member), Row: row(w, t.member), Preimage", "Row: row(w, t.member), Preimage")},
	{ids: "I23", what: "a refusal's world isn't recorded", dir: engine, texts: one("World: record(w, t.member), Row: row(w, t.member),\n	}\n	if k.keep(c, e) != nil {\n		return // a person spoke in between, as a rule: the next round judges again", "Row: row(w, t.member),\n	}\n	if k.keep(c, e) != nil {\n		return")},
	{ids: "I23", what: "a further step's world isn't recorded", dir: engine, texts: one("Detail: why, Evidence: marshal(k.own[h.Member]), Decision: marshal(d), World: record(w, h.Member),", "Detail: why, Evidence: marshal(k.own[h.Member]), Decision: marshal(d),")},
	{ids: "I23", what: "the world of a way back isn't recorded", dir: engine, texts: one("Actor: h.ReleaseBy,\n			World: record(w, h.Member), ", "Actor: h.ReleaseBy,\n			")},
	{ids: "I23", what: "the device's own words aren't recorded", dir: engine, texts: one("text[:min(len(text), maxRow)]", "text[:0*min(len(text), maxRow)]")},
	{ids: "I23", what: "what a candidate went through isn't recorded", dir: "remediator/journal", also: engineToo, texts: one("		if err := appendEntry(tx, gone); err != nil {\n			return h, err\n		}\n		from = p\n", "		_ = gone\n		from = p\n")},
	{ids: "I23", what: "the audit stream isn't written", dir: engine, texts: one("		if err := r.audit.Sync(r.journal); err != nil {\n			r.metrics", "		if err := error(nil); err != nil {\n			r.metrics")},
	{ids: "I23", what: "what is recorded while it stops isn't in the audit stream", dir: engine, texts: one("			if err := r.audit.Sync(r.journal); err != nil && last == \"\" {", "			if err := error(nil); err != nil && last == \"\" {")},
	{ids: "I26", what: "a failure of the audit stream isn't counted", dir: engine, texts: one("			r.metrics.auditErrors.Inc()\n", "")},
}
