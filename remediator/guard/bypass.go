package guard

import (
	"cmp"
	"fmt"

	"github.com/sluice-project/sluice/edge"
)

// foreignBypass: the owner named what is brought in, so that somebody put it
// out is no hindrance; that it is in already is. Back, it must be as we left it.
func foreignBypass(s Step, w World) (string, string) {
	st, known := w.Snapshot.State(s.Member)
	held, ours := w.Held[s.Member]
	switch {
	case !known:
		return "", "not known to the device"
	case w.Taken != "" && !s.ByHand:
		return "claimed", w.Taken
	case s.Back:
		return asLeft(st, held, ours, w)
	case w.Released != "":
		return byHand(w)
	case ours && held.Superseded:
		return "superseded", "somebody changed it while we held it: release the hold to hand it back to Sluice"
	case s.Mark != "" && st.Marks == s.Mark:
		return "in_already", fmt.Sprintf("it is %s, and not by us", st.Marks)
	case s.Mark != "":
		return "", fmt.Sprintf("it is %s", st.Marks)
	case st.Admin == edge.Ready:
		return "in_already", "it is in rotation, and not by us"
	}
	return "", fmt.Sprintf("it is in %s (%s), and named as standby", st.Admin, st.Marks)
}

// allFailing: every regular member of the pool is bad by our own fresh evidence,
// so that no traffic that could be served is led away. That the device itself
// can be read is the inventory's to say.
func allFailing(s Step, w World) (string, string) {
	if w.Policy == nil {
		return "", "no policy"
	}
	if s.Back {
		return recovered(s, w)
	}
	if reason, detail := claimed(w); reason != "" {
		return reason, detail
	}
	bad := 0
	for _, st := range w.Snapshot.Pool(s.Member.In()) {
		if w.Standby[st.Member] {
			continue
		}
		e, asked := w.Own[st.Member]
		switch {
		case !asked:
			return "no_second_source", fmt.Sprintf("nothing that we could ask covers %s", st.Member.Name)
		case w.Now.Sub(e.At) > w.Policy.MaxAge:
			return "stale", fmt.Sprintf("%s answered %s ago for %s", e.Source, age(w.Now, e.At), st.Member.Name)
		case e.Answer == edge.Yes && !st.Serving:
			// Whoever took it out can bring it in: that is better than a way round.
			return "not_all_failing", fmt.Sprintf("%s finds %s well, which is out of rotation (%s): bring it in", e.Source, st.Member.Name, cmp.Or(st.Marks, "not serving"))
		case e.Answer == edge.Yes:
			return "not_all_failing", fmt.Sprintf("%s finds %s well", e.Source, st.Member.Name)
		case e.Answer != edge.No:
			return "unknown", fmt.Sprintf("%s doesn't know of %s: %s", e.Source, st.Member.Name, e.Detail)
		}
		bad++
	}
	if bad == 0 {
		return "no_members", "the pool has no regular members: all that it has are named as standby"
	}
	if w.well(s.Member) == edge.No {
		return "standby_bad", fmt.Sprintf("%s finds the standby bad too: %s", w.Own[s.Member].Source, w.Own[s.Member].Detail)
	}
	return "", fmt.Sprintf("all %d regular members are bad, by our own evidence", bad)
}

// recovered: enough regular members serve again, and have for hold_down.
func recovered(s Step, w World) (string, string) {
	held := w.Held[s.Member]
	well, need := Recovered(s.Member.In(), w)
	switch {
	case s.ByHand:
		return "", "a person asks"
	case w.AtMax:
		return "", "the bypass is at its time limit"
	case well < need:
		return "not_well", fmt.Sprintf("%d regular members serve and are well, want %d", well, need)
	case held.GoodSince.IsZero():
		return "rising", "regular members serve again only now"
	case w.Now.Sub(held.GoodSince) < w.Policy.HoldDown:
		return "hold_down", fmt.Sprintf("regular members serve again for %s, want %s", age(w.Now, held.GoodSince), w.Policy.HoldDown)
	}
	return "", fmt.Sprintf("%d regular members serve again and are well for %s", well, age(w.Now, held.GoodSince))
}

// Recovered counts the regular members of a pool that take new traffic by the
// device's word and are well by our own; need is how many end a bypass.
func Recovered(p edge.Pool, w World) (well, need int) {
	base := 0
	for _, st := range w.Snapshot.Pool(p) {
		if w.Standby[st.Member] {
			continue
		}
		if !st.Backup && !st.Settled {
			base++
		}
		if st.Serving && w.well(st.Member) == edge.Yes {
			well++
		}
	}
	return well, w.Policy.MinServing.Of(base)
}

// timeLimit: a bypass that came to its limit isn't begun again for the same
// claim: the limit would be none.
func timeLimit(s Step, w World) (string, string) {
	switch {
	case s.Back:
		return "", "ends it"
	case w.Lapsed:
		return "time_limit", "the bypass came to its time limit, and the claim has not ended since"
	}
	return "", "the time limit begins with the step"
}
