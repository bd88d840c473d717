package main

// barrierEdits are made in what people put in automation's way: freezes of a scope,
// claims on members, maintenance windows.
var barrierEdits = []edit{
	{ids: "I19", what: "only a freeze of everything counts", dir: "remediator/journal", texts: one(`return f.Device == "" || f.Device == m.Device && (f.Pool == "" || f.Pool == m.Pool)`, `return f.Device == ""`)},
	{ids: "I19", what: "a freeze of a pool is one of its device", dir: "remediator/journal", texts: one(`(f.Pool == "" || f.Pool == m.Pool)`, `true`)},
	{ids: "I19", what: "to lift one freeze lifts that of everything", dir: "remediator/journal", texts: one("		f, err := freezeIn(tx, p)\n		if err != nil || f == nil {\n			return err\n		}\n", "		f, err := freezeIn(tx, p)\n		if err != nil || f == nil {\n			return err\n		}\n		if err := tx.delete(bucketState, keyFreeze); err != nil {\n			return err\n		}\n")},
	{ids: "I7, I19", what: "what a step moves along may be frozen or claimed", dir: engine, texts: one("	out := append([]edge.Member{m}, snap.Along[m]...)\n	if h != nil", "	out := []edge.Member{m}\n	if h != nil")},
	{ids: "I17, I19", what: "a freeze of a scope between decision and order isn't seen", dir: engine, texts: one("	if why := b.frozen(members...); why != \"\" {\n		return guard", "	if why := b.frozen(); why != \"\" {\n		return guard")},
	{ids: "I7, I17", what: "a claim between decision and order isn't seen", dir: engine, texts: one("	if why := b.claimed(members...); why != \"\" {\n		return guard", "	if why := b.claimed(); why != \"\" {\n		return guard")},
	{ids: "I17", what: "a window that is made between decision and order isn't seen", dir: engine, texts: one("b.in(now, members...)...); len(all) > 0 {", "b.in(now, members...)...); len(all) < 0 {")},
	{ids: "I7", what: "a claim doesn't reach the guards", dir: engine, texts: one("Taken: b.claimed(moved...), ", "")},
	{ids: "I7", what: "what people claimed stays held by us", dir: engine, texts: one("		if h.Handed == \"\" || !settled(h.Phase) {\n", "		if h.Handed == \"\" || settled(h.Phase) || !settled(h.Phase) {\n")},
	{ids: "I10", what: "a hold is handed over before its outcome is known", dir: engine, texts: one("		if h.Handed == \"\" || !settled(h.Phase) {\n", "		if h.Handed == \"\" {\n")},
	{ids: "I7", what: "a claim leaves our holds as they are", dir: "remediator/journal", texts: one("			h.Handed = c.Actor\n", ""), also: []string{"./remediator"}},
	{ids: "I7", what: "a claim by another name of the same object leaves our hold as it is", dir: "remediator/journal", texts: one("!h.Holds(c.Member)", "h.Member != c.Member"), also: []string{"./remediator"}},
	{ids: "I7", what: "a released member goes on as the person's", dir: "remediator/journal", texts: one("		h.Released, h.Answer = \"\", nil\n", "")},
	{ids: "I2", what: "any name can be claimed or frozen", dir: engine, texts: neverCase(`m.Name != "" && snap.States[m].Member != m`)},
	{ids: "I7", what: "it acts in a window that people made", dir: engine, texts: one("moved...), b.in(w.Now, moved...)\n", "moved...), nil\n")},
	{ids: "I6, I19", what: "a window that can't be read is in force for nobody", dir: engine, texts: one("		w.Members.validate(nil)       // for all\n", "")},
	{ids: "I23", what: "a window goes before people saw that it is over", dir: engine, texts: one("|| wrong != nil || time.Since(to) < overFor {", "|| wrong != nil {")},
	{ids: "I20", what: "to lift one freeze forgives everything", dir: engine, texts: one("	f := journal.Freeze{Device: scope.Device, Pool: scope.Name}\n", "	f := journal.Freeze{}\n	_ = scope\n")},
	{ids: "I16, I17, I19", what: "what happens while a step is recorded isn't seen", dir: engine, texts: one("	if len(out) > 0 { // to record it may have taken long\n", "	if false {\n")},
	{ids: "I7", what: "a person's word on a member holds for one of its names alone", dir: engine, texts: one("cmp.Or(w.Released, k.candidates[one].Released)", "k.candidates[m].Released\n		_ = one")},
}
