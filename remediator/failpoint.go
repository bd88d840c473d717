package remediator

// Failpoints are the places at which a crash is tried out: each lies between two
// things of which a crash may leave only the first done. What [Options.Failpoint]
// does there is the test's business; nobody else sets it.
//
// Those of a step come twice, as take_out.NAME and as give_back.NAME.
var Failpoints = []string{
	"hint.saved",            // a webhook is durable, nobody has answered it
	"claims.read",           // claims are known, no keeper is woken
	"take_out.decided",      // all guards agreed, nothing is recorded
	"take_out.recorded",     // the intent is durable, nothing is sent
	"take_out.sending",      // recorded as sent, and not sent yet
	"take_out.sent",         // the device has answered, or not
	"take_out.read_back",    // read back, the outcome is not recorded
	"take_out.outcome",      // the outcome is recorded, the hold not yet settled
	"give_back.decided",     // as above, on the way back
	"give_back.recorded",    //
	"give_back.sending",     //
	"give_back.sent",        //
	"give_back.read_back",   //
	"give_back.outcome",     //
	"release_pending.noted", // well again, and hold_down runs
	"order.recorded",        // a person's order is durable, nothing is sent
	"order.sent",            // the device has answered, or not
	"order.outcome",         // what became of it is durable, nobody was told
}

// passes marks a failpoint.
func (r *Remediator) passes(point string) {
	if r.failpoint != nil {
		r.failpoint(point)
	}
}

// passes marks a failpoint of a step.
func (k *keeper) passes(undo bool, point string) {
	if undo {
		k.r.passes("give_back." + point)
		return
	}
	k.r.passes("take_out." + point)
}
