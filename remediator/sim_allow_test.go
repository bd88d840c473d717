package remediator

// simAllowances are violations that are known and not yet mended: they are
// counted, and don't fail. The key is the id under which an invariant complains;
// empty is the rule.
var simAllowances = map[string]string{
	"I14 unheard":       "a keeper that was busy decides before it hears the results that wait for it",
	"I14 asked beside":  "what the pool's questioning says of a held member doesn't break its chain of good answers",
	"I7 put back":       "a foreign change that only a look beside the round showed is forgotten when it is undone",
	"I11 moved":         "a hold that is released by hand after its address changed leaves the member out",
	"I17 queued":        "what is gathered for one write may wait for longer than a look is good",
	"I9 twins":          "an object in two pools may be taken out twice in one round, where pools are written whole",
	"I13 forgotten":     "a hold that the device forgot, and that may not be applied again, has no end",
	"I13 release asked": "a hold whose release is asked for and refused never comes to its lease",
}
