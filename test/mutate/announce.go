package main

const announcer = "remediator/announce"

// announceEdits are made in what people are told through Alertmanager.
var announceEdits = []edit{
	{ids: "I26", what: "what we say ourselves is a claim", dir: "remediator/claims", also: []string{"./remediator"}, texts: one("	if ls[edge.LabelAnnouncedBy] == edge.Announcer {\n", "	if ls[edge.LabelAnnouncedBy] == \"-\" {\n")},
	{ids: "I26", what: "our own alerts aren't marked", dir: announcer, texts: one("edge.LabelAnnouncedBy: edge.Announcer,", "edge.LabelAnnouncedBy: \"\",")},
	{ids: "I26", what: "a step that was ordered and not read back is told as one that stands", dir: announcer, texts: one("return !h.Phase.Candidate() && !h.Since.IsZero()", "return !h.Phase.Candidate()")},
	{ids: "I7, I26", what: "what somebody else changed is told as held", dir: announcer, texts: one("	case journal.Superseded, journal.Orphaned, journal.Reverted, journal.Closed:\n		return false\n", "	case journal.Closed:\n		return false\n")},
	{ids: "I26", what: "a refusal is told at once", dir: announcer, texts: one("		return r.began.Add(after)\n", "		return r.began\n")},
	{ids: "I26", what: "guards that take turns are a message each", dir: announcer, texts: one("	return r.since.Add(after)\n", "	return r.since\n")},
	{ids: "I26", what: "what people did themselves is announced", dir: announcer, texts: one("	case byPeople[r.now.guard] || r.now == r.said:\n", "	case r.now == r.said:\n")},
	{ids: "I26", what: "what no mode would do is announced", dir: announcer, also: []string{"./remediator"}, texts: one("		if !b.acts(c.Policy, c.Member) {\n", "		if !b.acts(c.Policy, c.Member) && c.ID == \"\" {\n")},
	{ids: "I26", what: "a step that works ends no row of failures", dir: announcer, texts: one("			s.bad, s.before, s.idle = 0, s.bad, false\n", "			s.before, s.idle = s.bad, false\n")},
	{ids: "I10, I26", what: "an unknown outcome that turns out a failure counts twice", dir: announcer, texts: one("	case failed:\n		if !s.unknown {\n", "	case failed:\n		if true {\n")},
	{ids: "I20, I26", what: "a step without effect is a success", dir: announcer, texts: one("	s.bad = s.before\n	s.fail(e)\n", "	s.bad = s.before\n")},
	{ids: "I26", what: "an answered step goes on waiting", dir: announcer, texts: one("!now.Before(c.Answer.Until)\n", "!now.Before(c.Answer.At)\n")},
	{ids: "I26", what: "an end is told whose beginning never was", dir: announcer, texts: one("	case err != nil && (!fires || !mayKnow(err)):\n", "	case err != nil && !fires:\n")},
	{ids: "I26", what: "an end isn't told", dir: announcer, texts: one("			batch = append(batch, Message{t.alert, t.ended})\n", "			t.at = now\n")},
	{ids: "I26", what: "an alert is said once", dir: announcer, texts: one("!t.ended.IsZero() || now.Sub(t.at) >= s.repeat {", "!t.ended.IsZero() {")},
	{ids: "I26", what: "an Alertmanager that fails is asked without a pause", dir: announcer, texts: one("	s.retry = min(max(2*s.retry, firstRetry), lastRetry)\n", "	s.retry = firstRetry / 100\n")},
	{ids: "I26", what: "a request has no end", dir: announcer, texts: one("context.WithTimeout(ctx, postTimeout)", "context.WithTimeout(ctx, 100*time.Hour+postTimeout)")},
	{ids: "I26", what: "a redirect that loses the body passes for an answer", dir: "remediator/alertmanager", also: []string{"./" + announcer}, texts: one("before != nil && before.Request != nil && before.Request.Method != r.Method {", "before != nil && before.Request == nil {")},
	{ids: "I26", what: "what was announced before a restart is forgotten", dir: announcer, also: []string{"./remediator"}, texts: one("			back = append(back, e)\n", "			_ = e\n")},
	{ids: "I26", what: "a claim that nobody can see has ended", dir: engine, texts: one("	return known && !aims[m]\n", "	return known || !aims[m]\n")},
}
