package remediator

// simAllowances are violations that are known and not yet mended: they are
// counted, and don't fail. The key is the id under which an invariant complains;
// empty is the rule.
var simAllowances = map[string]string{}
