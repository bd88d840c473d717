package main

// An invariant is something that must hold whatever happens.
type invariant struct {
	id        int
	name      string
	statement string // for operators
	by        []string
}

// invariants in their order; the id of the n-th is n. by names code that serves
// one and whose own comment doesn't say so, as DIR.Name or DIR.Type.Method.
var invariants = []invariant{
	{
		1, "Min-healthy", "After a step of ours every pool keeps at least min_serving members that are verified to serve: counted as it will stand after the step, " +
			"shares rounded up, whatever is down for whatever reason counted as down. A pool of one is never emptied.", nil,
	},
	{2, "Empty is not all", "A set, a selector or a device's answer that is empty, unknown or can't be read means: no step.", nil},
	{3, "Bounded blast radius", "Only so many members of a pool are out by us at a time, and the count is kept in the journal: a restart brings no new budget.", nil},
	{4, "Storm brake", "When too much turns bad at once, or the source of evidence itself has just changed, nothing new is begun and people are called.", nil},
	{5, "Fail open", "When a pool falls below its panic line while a member of it is out by us, ours is given back first.", nil},
	{6, "Blind means still", "Evidence that is stale, contradictory or out of reach moves nothing, neither out nor back.", nil},
	{7, "Never override a person", "What somebody else changed is theirs: hands off until it is released. What was out before we came is never given back by us.", nil},
	{8, "Preimage restore", "A release puts back what was read before the step, not a fixed \"ready\".", []string{"remediator.keeper.goal", "remediator.keeper.reached"}},
	{
		9, "At most once in effect", "One member has one hold, however many alerts, copies and restarts there are. Orders are absolute, never relative.",
		[]string{"remediator/journal.change"},
	},
	{10, "Unknown outcome is a state", "An order without an answer has neither worked nor failed: the device is read before anything is sent again.", nil},
	{11, "Crash-safe", "The intent is on disk before the first byte goes to a device; after any crash the journal explains each member that was changed.", []string{"remediator.keeper.carryOut"}},
	{12, "Reversible only", "Automation takes only steps that it can take back: what stood before is known, and the way back is tested.", []string{"remediator.keeper.takeOut", "remediator.keeper.back"}},
	{13, "Bounded lifetime", "Every hold has a lease that only fresh evidence renews, and a hard end; neither ever passes in silence.", nil},
	{14, "Recovery needs positive evidence", "A member comes back after fresh good results of our own for the whole hold_down. A resolved alert alone gives back nothing.", nil},
	{15, "Flap damping", "A member that goes and comes again and again is left where it is, and people are called: it never swings on.", nil},
	{16, "Fenced writer", "A replica that lost the lead commits no intent, and sends nothing when its lease could end before the answer.", nil},
	{
		17, "No stale decision", "Nothing is done on evidence that is too old. The device is read, and the guards are asked, right before the write; an approval counts once, ends, and is judged again.",
		nil,
	},
	{18, "No burst after silence", "After downtime or a freeze all is judged anew, under the same budgets: nothing is caught up with.", []string{"remediator.keeper.round"}},
	{19, "Freeze", "One durable switch stops new steps at once and outlives a restart. A journal that can't be read is a freeze; a new one isn't. A person can still give back.", nil},
	{20, "Verified", "A step counts when it was read back, and when it helped. Two in a row that don't help stop the policy and call people.", []string{"remediator.keeper.settle"}},
	{21, "No injection", "Text of an alert only selects among what is configured and what a device lists; it never becomes part of a command, a query or an address.", nil},
	{22, "Authentic input", "A webhook wakes, and a claim read from the API decides. Where the webhook is the claim, it must be authenticated; without that only this machine is listened to.", nil},
	{23, "Explained", "Every step and every refusal leaves a record of evidence, guards, rule, configuration and person, and is counted.", nil},
	{24, "Per-alert independence", "One bad alert in a message neither stops nor triggers another; how alerts are spread over messages makes no difference.", nil},
	{25, "Convergence", "While the world stands still, so does Sluice, after a bounded number of steps.", []string{"remediator.keeper.consider"}},
	{26, "People hear", "A refusal for safety, an outcome that is unknown and a lease that ended become an alert; so does a remediator that is dead.", nil},
}

// notYet are the ids whose guard is still being built: they are printed, and fail
// nothing. Take the line out with the commit that brings the guard.
var notYet = map[int]string{}
