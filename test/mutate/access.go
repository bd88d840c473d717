package main

// The folders of who may do what, and of what is shown to whom.
const (
	accessDir  = "remediator/access"
	controlDir = "remediator/control"
	restDir    = "remediator/haproxyapi"
	eventsDir  = "remediator/events"
	consoleDir = "remediator/console"
)

// accessEdits are made in what finds out who asks, locks guessers out, and shows
// nobody more than their roles say.
var accessEdits = []edit{
	{ids: "I22", what: "what leads out of a public path is public", dir: accessDir, texts: one(`!ok || strings.Contains(path, "/.")`, "!ok")},
	{ids: "I22", what: "all that begins like a public path is public", dir: accessDir, texts: one(`path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p)`, "strings.HasPrefix(path, p)")},
	{ids: "I22", what: "of two headers neither counts, and a certificate does", dir: accessDir, texts: one("	case len(values) > 1, len(values) == 1 && ", "	case len(values) == 1 && ")},
	{ids: "I22", what: "a password that nobody has checked", dir: accessDir, texts: one("		if web.Users {\n", "		if true {\n")},
	{ids: "I22", what: "a web configuration that is gone lets everybody in", dir: accessDir, texts: one("err != nil && s == nil {", "false {")},
	{ids: "I22", what: "a certificate that nobody has checked", dir: accessDir, texts: one("len(r.TLS.VerifiedChains) == 0 || ", "")},
	{ids: "I22", what: "whom the web server knows may everything", dir: accessDir, texts: one("	return Identity{Name: name, Via: ViaWeb}, nil", "	return Open(name), nil")},
	{ids: "I22", what: "a short token is guessed at any pace", dir: accessDir, texts: one("if t == nil || t.weak {", "if t == nil {")},
	{ids: "I22", what: "wrong tokens aren't counted", dir: accessDir, texts: one("if wait == 0 && t == nil {", "if false {")},
	{ids: "I22", what: "a locked name waits for nothing", dir: accessDir, texts: one("if !friend {\n		wait", "if false {\n		wait")},
	{ids: "I22", what: "wrong passwords by a name aren't counted", dir: accessDir, texts: one("if wait := names.take(key, now); wait > 0 {", "if wait := time.Duration(0); wait > 0 {")},
	{ids: "I22", what: "who logs in is counted as a guesser", dir: accessDir, texts: one("	if admitted {\n		g.addresses.give(from.String())\n", "	if admitted {\n")},
	{ids: "I22", what: "a guesser locks out who was here before", dir: accessDir, texts: one("		g.befriend(name, from)\n", "")},
	{ids: "I22", what: "a lock-out without end", dir: accessDir, texts: one("now.Add(min(mostLocked, time.Second<<min(f.n-l.free, 30)))", "now.Add(time.Second<<min(f.n-l.free, 30))")},
	{ids: "I22", what: "a failure is never forgotten", dir: accessDir, texts: one("back > 0 {", "false {")},
	{ids: "I22", what: "any number of counters", dir: accessDir, texts: one("if l.last.Len() >= mostCounters {", "if false {")},
	{ids: "I22", what: "any number of passwords wait", dir: accessDir, texts: one("	if p.waiting >= mostWaiting {", "	if false {")},
	{ids: "I22", what: "one address is locked, and with it who sends the same from another", dir: accessDir, texts: one("flying := p.sum(from, name, hash, password)", "flying := p.sum(name, hash, password)")},
	{ids: "I22", what: "a password that was changed is remembered", dir: accessDir, texts: one("id := p.sum(name, hash, password)", "id := p.sum(name, password)")},
	{ids: "I22", what: "the beginning of a password is enough", dir: accessDir, texts: one("len(password) <= mostPassword && ", "")},
	{ids: "I22", what: "each IPv6 address is a guesser of its own", dir: accessDir, texts: one("		bits = 64\n", "		bits = 128\n")},
	{ids: "I22", what: "whoever connects says from where", dir: accessDir, texts: one(`for seen != "" && s.believes(ip) {`, `for seen != "" {`)},
	{ids: "I22", what: "what the caller of a proxy says counts", dir: accessDir, texts: one("i := strings.LastIndexByte(seen", "i := strings.IndexByte(seen")},
	{ids: "I22", what: "a token that has expired", dir: accessDir, texts: one("	case t.over(now):\n", "	case false:\n")},
	{ids: "I22", what: "a stream outlives the password", dir: accessDir, texts: one("o != nil && o.hash == u.hash && slices", "o != nil && slices")},
	{ids: "I22", what: "a session's stream outlives what its roles meant", dir: accessDir, texts: one("	i := g.as(s, s.users[name], via)\n	i.refused", "	i := s.users[name].identity\n	i.Via = via\n	i.refused")},
	{ids: "I22", what: "of a pattern of two names the one isn't anchored", dir: accessDir, texts: one(`"^(?s:" + text + ")$"`, `"^" + text + "$"`)},
	{ids: "I22", what: "who has one pool may do it to all", dir: accessDir, texts: one("	if len(limits) == 0 || name == \"\" {\n		return len(limits) == 0\n	}", "	if len(limits) == 0 || name == \"\" {\n		return true\n	}")},
	{ids: "I22", what: "limits by pool don't count", dir: accessDir, texts: one("within(g.devices, p.Device) && within(g.pools, p.Name)", "within(g.devices, p.Device)")},

	{ids: "I22", what: "explain finds members that the caller doesn't see", dir: controlDir, texts: one("			if err := may(r, access.View, edge.Pool{}); err != nil {\n				return nil, err\n			}\n", "")},
	{ids: "I22", what: "who looks approves", dir: controlDir, texts: one("may(r, access.Approve, m.In())", "may(r, access.View, m.In())")},
	{ids: "I22", what: "who looks puts objects back", dir: controlDir, texts: one("may(r, access.Restore, p)", "may(r, access.View, p)")},
	{ids: "I22", what: "a pattern is taken for a name", dir: controlDir, texts: one("if regexp.QuoteMeta(name) != text {", "if false && regexp.QuoteMeta(name) != text {")},
	{ids: "I22", what: "anybody's window is taken away", dir: controlDir, texts: one("		if err := permit(r, access.Freeze, w.Members.Scope()); err != nil {\n			return nil, err\n		}\n		if err := o.Engine.Drop", "		if err := o.Engine.Drop")},
	{ids: "I22", what: "drills on others' members are told", dir: controlDir, texts: one("	return may(r, v, m.In())", "	_ = m\n	return nil"), also: []string{"./remediator"}},
	{ids: "I22", what: "who looks orders", dir: restDir, texts: one("who.Check(access.Order, p)", "who.Check(access.View, p)")},
	{ids: "I22", what: "backends of others are listed", dir: restDir, texts: one("			if who.May(access.View, edge.Pool{Device: instance, Name: name}) {", "			if true {")},
	{ids: "I22", what: "a listener hears of all pools", dir: eventsDir, texts: one("		if !f.open && !s.sees(f.pool) || ", "		if ")},
	{ids: "I22", what: "a listener is let go never", dir: eventsDir, texts: one("			if !still() {", "			if false {")},
	{ids: "I22", what: "a webhook sees the console", dir: consoleDir, texts: one("			h = c.seeing(h)\n", "			_ = c.seeing(h)\n")},
	{ids: "I22", what: "the console shows others' members", dir: consoleDir, texts: one("	if c.forbidden(w, r, p, access.View, m.In()) {\n		return\n	}\n", "")},
	{ids: "I22", what: "the console shows others' refusals", dir: consoleDir, texts: one("return c.seesEntry(r, *e) }", "return true }")},
	{ids: "I22", what: "who looks freezes by the console", dir: consoleDir, texts: one("	if c.forbidden(w, r, p, access.Freeze, on) {\n		return\n	}\n	done", "	done")},
	{ids: "I22", what: "anybody's window ends by the console", dir: consoleDir, texts: one("		if c.forbidden(w, r, p, access.Freeze, on) {\n			return\n		}\n		if !known", "		_ = on\n		if !known")},
}
