package main

// journalEdits are made in what remembers.
var journalEdits = []edit{
	{ids: "I9", what: "a hold that changed meanwhile is written over", dir: "remediator/journal", texts: one("old == nil || old.ID != h.ID || old.Rev != h.Rev", "old == nil || old.ID != h.ID")},
	{ids: "I9", what: "a member that is held gets a second hold", dir: "remediator/journal", texts: neverCase(`h.ID == "" && old != nil`)},
	{ids: "I11", what: "any phase may follow any other", dir: "remediator/journal", texts: one("	if err := from.check(to); err != nil {\n		return h, err", "	if err := from.check(to); err != nil && h.ID == \"\" {\n		return h, err")},
	{ids: "I2", what: "a member without a name has a hold", dir: "remediator/journal", texts: never(`part == "" || strings.ContainsRune(part, 0)`)},
	{ids: "I19", what: "a damaged value is read", dir: "remediator/journal", texts: one("sum != rec.Sum {", "sum != rec.Sum && sum == 0 {")},
	{ids: "I19", what: "a freeze lasts beyond its end", dir: "remediator/journal", texts: one("func (f Freeze) Over(now time.Time) bool { return over(f.Until, now) }", "func (f Freeze) Over(now time.Time) bool { return false }")},
	{ids: "I19", what: "a journal in place of a damaged one isn't frozen", dir: "remediator/journal", texts: one("	err = j.SetFreeze(Freeze{Reason: reason, Actor: \"sluice\"})\n	if err == nil &&", "	_ = reason\n	if err == nil &&")},
	{ids: "I23", what: "entries of a hold that is there are pruned", dir: "remediator/journal", texts: one(`e.Hold == "" || !open[e.Hold]`, `e.Hold == "" || open != nil`)},

	{ids: "I21", what: "a device's name leaves the folder of snapshots", dir: "remediator/snapshots", texts: one(`			fmt.Fprintf(&b, "%%%02X", c)`, "			b.WriteByte(c)")},
	{ids: "I11", what: "a snapshot that could not be written is no error", dir: "remediator/snapshots", texts: one(`i.Bytes); err != nil {
		return fmt.Errorf("snapshot of`, `i.Bytes); err != nil && false {
		return fmt.Errorf("snapshot of`)},
}

// replicaEdits are made in what tells several replicas apart.
var replicaEdits = []edit{
	{ids: "I16", what: "a replica that doesn't lead writes", dir: "remediator/journal", texts: one("if key, created, ok = f.Fence(); !ok {", "if key, created, ok = f.Fence(); !ok && f == nil {")},
	{ids: "I16", what: "a write goes through when the lead is over", dir: "remediator/journal", texts: one("		conditions = append(conditions, *fence)\n", "")},
	{ids: "I9", what: "what another replica changed meanwhile is written over", dir: "remediator/journal", texts: one(`		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(key), "=", v.revision))`, "		_, _ = key, v")},
	{ids: "I16", what: "a hold is written without the fence", dir: "remediator/journal", texts: one("	err := j.commit(what, f, func(tx txn) (err error) {\n		if f == nil", "	err := j.commit(what, nil, func(tx txn) (err error) {\n		if f == nil")},
	{ids: "I16", what: "several holds are written without the fence", dir: "remediator/journal", texts: one("return j.commit(what, j.fence, fn) }", "return j.commit(what, nil, fn) }")},
	{ids: "I16", what: "entries are written without the fence", dir: "remediator/journal", texts: one("return j.append(j.fence, entries) }", "return j.append(nil, entries) }")},
	{ids: "I16, I19", what: "a person is heard by the leader only", dir: "remediator/journal", texts: one("	return j.change(what, nil, h, h.Phase, e)\n", "	return j.change(what, j.fence, h, h.Phase, e)\n")},
	{ids: "I11, I16", what: "an order changes a phase", dir: "remediator/journal", texts: one("err != nil || old == nil || old.Phase != to {", "err != nil || old == nil {")},
	{ids: "I16", what: "an order is nobody's", dir: "remediator/journal", texts: never(`e.Actor == "" || h.ID == ""`)},
	{ids: "I16", what: "a replica that doesn't lead acts", dir: engine, texts: never("!leads")},
	{ids: "I16", what: "the guards aren't told who leads", dir: engine, texts: one("	w.Standing = k.r.standing()\n", "")},
	{ids: "I16", what: "a lease that is about to end is long enough", dir: engine, texts: one("Need: leaseNeed}", "Need: 0 * leaseNeed}")},
	{ids: "I26", what: "what another replica heard wakes nobody", dir: engine, texts: one("		case <-hints:\n			poke(r.hint)\n", "		case <-hints:\n")},
	{ids: "I19", what: "what another replica was told wakes nobody", dir: engine, texts: one("		case <-orders:\n			r.wakeKeepers()\n", "		case <-orders:\n")},
	{ids: "I16", what: "a lease counts from when its renewal was answered", dir: "remediator/coordinate", texts: one("	t.renew(sent, min(e.ttl,", "	t.renew(time.Now().Add(0*time.Since(sent)), min(e.ttl,")},
	{ids: "I16", what: "a replica leads on when its lease has run out", dir: "remediator/coordinate", texts: one("t == nil || t.left() <= 0 {", "t == nil {")},
	{ids: "I16", what: "two replicas lead", dir: "remediator/coordinate", texts: one(`If(clientv3.Compare(clientv3.CreateRevision(e.key), "=", 0)).`, "If().")},
}

// intakeEdits are made in what comes in from people and alerts.
var intakeEdits = []edit{
	{ids: "I6, I14", what: "a blind source's silence is an absence", dir: "remediator/claims", texts: one("return 2*len(v.Blind) < len(v.Sources)", "return true")},
	{ids: "I6", what: "an Alertmanager that can't be asked sees", dir: "remediator/claims", texts: one("			out.source.Blind = alertmanager.Reason(err)\n", "			_ = alertmanager.Reason(err)\n")},
	{ids: "I6, I14", what: "an Alertmanager that was just started sees", dir: "remediator/claims", texts: one("age < young {", "age < 0 {")},
	{ids: "I6", what: "an Alertmanager whose cluster settles sees", dir: "remediator/claims", texts: one("st == models.ClusterStatusStatusSettling {", "st == \"-\" {")},
	{ids: "I6", what: "an Alertmanager that doesn't say its age sees", dir: "remediator/claims", texts: one(`return "doesn't say since when it runs"`, `return ""`)},
	{ids: "I6, I14", what: "a webhook that says nothing sees", dir: "remediator/claims", texts: neverCase("now.Sub(last) > w.ttl")},
	{ids: "I17", what: "a webhook's word lasts for ever", dir: "remediator/claims", texts: one("h.FiringAt.IsZero() || now.Sub(h.FiringAt) > w.ttl", "h.FiringAt.IsZero()")},
	{ids: "I7", what: "a silence that one Alertmanager lacks still counts for all", dir: "remediator/claims", texts: one("out.Suppressed = a.Suppressed && b.Suppressed", "out.Suppressed = a.Suppressed || b.Suppressed")},
	{ids: "I7", what: "a silence isn't read", dir: "remediator/claims", texts: one("c.Suppressed = s.State != nil && *s.State == models.AlertStatusStateSuppressed || len(s.SilencedBy)+len(s.InhibitedBy) > 0", "c.Suppressed = false")},
	{ids: "I2", what: "matchers may select everything", dir: "remediator/claims", texts: neverCase("!picks")},
	{ids: "I2", what: "no matchers select everything", dir: "remediator/claims", texts: neverCase("len(out) == 0")},
	{ids: "I26", what: "the watchdog is a claim", dir: "remediator/claims", texts: one("if !ok || e.Policy == Watchdog {", "if !ok {")},
	{ids: "I9", what: "two sets of labels have one key", dir: "remediator/claims", texts: one("		b.WriteString(strconv.Quote(labels[name]))\n", "		b.WriteString(labels[name])\n")},
	{ids: "I24", what: "a repeated alert in one message is two", dir: "remediator/claims", texts: one("			out[i] = out[i].Join(h)\n", "			out[i] = h\n")},

	{ids: "I24", what: "one bad alert refuses the message", dir: "remediator/webhook", texts: one(`			a = Alert{Result: Invalid,`, `			return Message{}, err
			a = Alert{Result: Invalid,`)},
	{ids: "I11", what: "what isn't durable is answered with 200", dir: "remediator/webhook", texts: one(`return http.StatusServiceUnavailable, m, fmt.Errorf("make the message durable`, `return http.StatusOK, m, fmt.Errorf("make the message durable`)},
	{ids: "I21", what: "a name that stands twice is taken", dir: "remediator/webhook", texts: one("; twice {", "; twice && name == \"\" {")},
	{ids: "I21", what: "nesting has no end", dir: "remediator/webhook", texts: one("depth > maxNesting {", "depth > 1000*maxNesting {")},
	{ids: "I21", what: "text that is no UTF-8 is taken", dir: "remediator/webhook", texts: never("!utf8.Valid(body)")},

	{ids: "I22", what: "another site's page gives orders", dir: "remediator/control", texts: one("	return guard.Handler(mux)\n", "	return mux\n")},
	{ids: "I19", what: "a freeze that could not be stored is answered with 200", dir: "remediator/control", texts: one("	return problem(http.StatusServiceUnavailable, \"%v\", err)\n", "	return nil\n")},
}

// deviceEdits are made in the devices' clients.
var deviceEdits = []edit{
	{ids: "I21", what: "a name may hold any letter", dir: "edge/haproxy", texts: one("	if name.MatchString(s) {\n		return nil\n	}\n	if len(s) > 64", "	if s != \"\" {\n		return nil\n	}\n	if len(s) > 64")},
	{ids: "I21", what: "a name that HAProxy doesn't list is sent", dir: "edge/haproxy", texts: one("	if !slices.ContainsFunc(servers,", "	if false && !slices.ContainsFunc(servers,")},
	{ids: "I10", what: "a refusal of HAProxy is a success", dir: "edge/haproxy", texts: one("		return refusal(raw)\n	}\n	if len(s) < 2", "		return nil\n	}\n	if len(s) < 2")},
	{ids: "I10", what: "one answer to two commands is a success", dir: "edge/haproxy", texts: one("	if len(s) < 2 {", "	if len(s) < 1 {")},
	{ids: "I2", what: "what follows the last answer is left aside", dir: "edge/haproxy", texts: one("TrimSpace(raw); len(rest) > 0 {", "TrimSpace(raw); len(rest) > 1<<30 {")},
	{ids: "I2", what: "what follows the last answer that is taken row by row is left aside", dir: "edge/haproxy", texts: one("TrimSpace(l.buf[l.a:l.b]); len(rest) > 0 {", "TrimSpace(l.buf[l.a:l.b]); len(rest) > 1<<30 {")},
	{ids: "I1", what: "a server that is stopping serves", dir: "edge/haproxy", texts: one("return o == Starting || o == Running", "return o != Stopped")},
	{ids: "I1", what: "a backup server serves", dir: "edge/haproxy", texts: one("weight > 0 && !backup &&", "weight > 0 &&")},
	{ids: "I1", what: "a server without weight serves", dir: "edge/haproxy", texts: one("admin.State() == edge.Ready && weight > 0 &&", "admin.State() == edge.Ready &&")},
	{ids: "I17", what: "a restart isn't seen", dir: "edge/haproxy", texts: one("Process: r.Info.Process(), ", "")},
	{ids: "I14", what: "a server without a check is well", dir: "edge/haproxy", texts: one(`		return edge.Unknown
	case op == Stopped:`, `		return edge.Yes
	case op == Stopped:`)},

	{ids: "I21", what: "another device's member is set", dir: "edge/fleet", texts: never("c.Member.Device != d.name || c.Member.In() != o.Changes[0].Member.In()")},
	{ids: "I11", what: "the object isn't kept before PTAF is written", dir: "edge/fleet", also: []string{"./test/device"}, texts: one("	if o.Save != nil {\n		w.Save = func(object []byte) error {\n			i :=", "	if false {\n		w.Save = func(object []byte) error {\n			i :=")},
	{ids: "I11", what: "the object isn't kept before PTAF PRO is written", dir: "edge/fleet", also: []string{"./test/device"}, texts: one("	if o.Save != nil {\n		w.Save = func(object []byte) error {\n			return", "	if false {\n		w.Save = func(object []byte) error {\n			return")},
	{ids: "I7", what: "PTAF isn't told the version that was decided on", dir: "edge/fleet", also: []string{"./test/device"}, texts: one("w := ptaf.Write{Version: o.Version, ", "w := ptaf.Write{")},
	{ids: "I7", what: "PTAF PRO isn't told the version that was decided on", dir: "edge/fleet", also: []string{"./test/device"}, texts: one("w := ptafpro.Write{Version: o.Version, ", "w := ptafpro.Write{")},

	{ids: "I7", what: "an upstream that changed since the decision is written", dir: "edge/ptaf", texts: never(`o.Version != "" && o.Version != a.Upstream.Version()`)},
	{ids: "I7", what: "the second look isn't compared", dir: "edge/ptaf", texts: one("err == nil && b.Upstream.Version() != a.Upstream.Version()", "err != nil && b.Upstream.Version() != a.Upstream.Version()")},
	{ids: "I7", what: "the list of the first look is written", dir: "edge/ptaf", texts: one("	if p, err = planned(b, next); err != nil {", "	if p, err = planned(a, next); err != nil {")},
	{ids: "I11", what: "what can't be kept is written over", dir: "edge/ptaf", texts: one("o.Save(slices.Clone(a.Raw)); err != nil {", "o.Save(slices.Clone(a.Raw)); err != nil && false {")},
	{ids: "I20", what: "what was written isn't read back", dir: "edge/ptaf", texts: never("after.Upstream.Version() != p.want.Version()")},
	{ids: "I10", what: "a write without an answer was not sent", dir: "edge/ptaf", texts: one("r.Written = !refused(err)", "r.Written = false")},
	{ids: "I2", what: "an empty list is put back", dir: "edge/ptaf", texts: one("	if len(entries) == 0 {\n		return edge.Receipt{}, fmt.Errorf(\"the list to write is empty", "	if len(entries) < 0 {\n		return edge.Receipt{}, fmt.Errorf(\"the list to write is empty")},
	{ids: "I21", what: "a backend that isn't there is left out of a write", dir: "edge/ptaf", texts: one("		if !slices.ContainsFunc(entries, func(e entry) bool { return e.Name == name }) {", "		if false && !slices.ContainsFunc(entries, func(e entry) bool { return e.Name == name }) {")},
	{ids: "I9", what: "two writes of one client meet", dir: "edge/ptaf", texts: one("		defer func() { <-c.writing }()\n", "		<-c.writing\n")},

	{ids: "I7", what: "a pool of PTAF PRO that changed since the decision is written", dir: "edge/ptafpro", texts: never(`w.Version != ""`)},
	{ids: "I7", what: "the second look of PTAF PRO isn't compared", dir: "edge/ptafpro", texts: one("if d := first.differs(second); len(d) > 0 {", "if d := first.differs(second); len(d) > 1000 {")},
	{ids: "I11", what: "what can't be kept on PTAF PRO is written over", dir: "edge/ptafpro", texts: one("w.Save(first.raw); err != nil {", "w.Save(first.raw); err != nil && false {")},
	{ids: "I20", what: "what PTAF PRO took and didn't keep is a success", dir: "edge/ptafpro", texts: never("after.fact(t.field) != t.wanted")},
	{ids: "I20", what: "what changed beside the field isn't told", dir: "edge/ptafpro", texts: never("len(others) > 0")},
	{ids: "I12", what: "a device that can't be written is written", dir: "edge/ptafpro", texts: one(`if why := c.cantWrite(); why != "" {`, `if why := c.cantWrite(); why == "-" {`)},
	{ids: "I6", what: "a field that the device doesn't show is written", dir: "edge/ptafpro", texts: one(`	case "", edge.Unknown.String(): // it`, `	case "-": // it`)},
	{ids: "I21", what: "an answer about another object is taken", dir: "edge/ptafpro", texts: never(`l.fact("id") != t.id`)},
}

// programEdits are made in the program around it all.
var programEdits = []edit{
	{ids: "I22", what: "it listens beyond this machine with no authentication", dir: "cmd/sluice", texts: one("ln != nil && !web.Asks() && !open {", "false && ln != nil {")},
	{ids: "I6", what: "a probe that could not be made is bad", dir: "cmd/sluice", texts: one("case r.Reason == probe.Unmade: // our", "case r.Up: // our")},
}
