package remediator

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
)

// queryTimeout bounds one question to one Prometheus.
const queryTimeout = 5 * time.Second

// ask asks the policy's second source about members, all at once. A member that
// nothing covers has no evidence in the answer.
func (s *settings) ask(ctx context.Context, p *Policy, states []edge.State) map[edge.Member]guard.Evidence {
	if p.Confirm == "prometheus" {
		return s.askPrometheus(ctx, p, states)
	}
	type answer struct {
		member edge.Member
		all    []guard.Evidence
	}
	answers := make([]answer, len(states))
	var asking sync.WaitGroup
	for i, st := range states {
		checks := s.covering(p, st.Member)
		answers[i] = answer{st.Member, make([]guard.Evidence, len(checks))}
		for n, c := range checks {
			asking.Go(func() { answers[i].all[n] = c.Ask(ctx, st) })
		}
	}
	asking.Wait()
	out := map[edge.Member]guard.Evidence{}
	for _, a := range answers {
		if len(a.all) > 0 {
			out[a.member] = together(a.all)
		}
	}
	return out
}

// together is what several sources say as one: bad when one says bad, well when
// all say well, unknown otherwise. It is as old as the oldest of them.
func together(all []guard.Evidence) guard.Evidence {
	worst := all[0]
	rank := map[edge.Answer]int{edge.Yes: 0, edge.Unknown: 1, edge.No: 2}
	oldest := worst.At
	for _, e := range all[1:] {
		if rank[e.Answer] > rank[worst.Answer] {
			worst = e
		}
		if e.At.Before(oldest) {
			oldest = e.At
		}
	}
	worst.At = oldest
	return worst
}

// deviceSays is the device's own check as evidence, for confirm: none.
func deviceSays(st edge.State, at time.Time) guard.Evidence {
	return guard.Evidence{Source: "device", Answer: st.Check, At: at, Detail: "the device's own check says " + st.Check.String()}
}

// A querier is one Prometheus.
type querier struct{ api promv1.API }

func newQuerier(url string, c *http.Client) (querier, error) {
	client, err := api.NewClient(api.Config{Address: url, Client: c})
	if err != nil {
		return querier{}, err
	}
	return querier{promv1.NewAPI(client)}, nil
}

// askPrometheus runs the policy's query as it stands in the configuration; the
// labels of its samples select the member. 0 is bad, any other number is well,
// no sample is unknown.
func (s *settings) askPrometheus(ctx context.Context, p *Policy, states []edge.State) map[edge.Member]guard.Evidence {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	out := map[edge.Member]guard.Evidence{}
	var last error
	for _, q := range s.queries {
		at := time.Now()
		value, _, _, err := q.api.Query(ctx, p.Query, at)
		if err != nil {
			last = err
			continue
		}
		vector, ok := value.(model.Vector)
		if !ok {
			last = fmt.Errorf("the query gives a %s, want a vector", value.Type())
			continue
		}
		for _, sample := range vector {
			m := edge.Member{
				Device: string(sample.Metric[edge.LabelDevice]),
				Pool:   string(sample.Metric[edge.LabelPool]),
				Name:   string(sample.Metric[edge.LabelMember]),
			}
			e := guard.Evidence{Source: "prometheus", Answer: edge.Yes, At: at, Detail: fmt.Sprintf("the query gives %v", sample.Value)}
			switch {
			case sample.Value == 0:
				e.Answer = edge.No
			case math.IsNaN(float64(sample.Value)):
				e.Answer = edge.Unknown
			}
			if old, twice := out[m]; twice {
				e = together([]guard.Evidence{old, e})
			}
			out[m] = e
		}
		last = nil
		break
	}
	for _, st := range states {
		if _, ok := out[st.Member]; !ok {
			e := guard.Evidence{Source: "prometheus", At: time.Now(), Reason: "no_sample", Detail: "the query has no sample for it"}
			if last != nil {
				e.Reason, e.Detail = "unreachable", last.Error()
			}
			out[st.Member] = e
		}
	}
	return out
}
