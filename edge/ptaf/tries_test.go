package ptaf_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
)

func TestAFailedReadIsTriedAgain(t *testing.T) {
	for _, fault := range []ptaftest.Fault{ptaftest.Error500Once, ptaftest.CutBody, ptaftest.Hang, ptaftest.Slow} {
		for _, times := range []int{1, 2} {
			t.Run(fmt.Sprint(fault, " ", times), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSim()
					s.Misbehave(fault, times)
					r := read(t, inMemory(t, s, func(o *ptaf.Options) { o.Upstreams = []string{"shop-front"} }))
					wantEqual(t, downs(r, "shop-front"), "-+-")
				})
			})
		}
	}
}

// Clients that failed together don't come back together.
func TestTriesArePartedByChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 20 {
			s := newSim()
			s.Misbehave(ptaftest.Error500Once, 1)
			start := time.Now()
			_, err := inMemory(t, s, nil).Get(t.Context(), "shop-front")
			wantErr(t, err, nil)
			wait := time.Since(start)
			if wait < 50*time.Millisecond || wait > 150*time.Millisecond {
				t.Errorf("waited %s", wait)
			}
			waits[wait] = true
		}
		if len(waits) < 5 {
			t.Errorf("20 clients waited %v", waits)
		}
	})
}

func TestADeviceThatIsBusyIsAskedAgain(t *testing.T) {
	for status, calls := range map[int]int{
		http.StatusTooManyRequests: 3, http.StatusServiceUnavailable: 3, http.StatusConflict: 1, http.StatusMovedPermanently: 1,
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			client := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.WriteHeader(status)
			}), nil)
			_, err := client.Get(t.Context(), "shop-front")
			wantText(t, err, fmt.Sprint("status ", status))
			wantEqual(t, asked, calls)
		})
	}
}

func TestAFailedReadIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		client := inMemory(t, s, func(o *ptaf.Options) { o.Retries = 1 })
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		s.Misbehave(ptaftest.Hang, -1)
		start := time.Now()
		_, err := client.Get(ctx, "shop-front") // five seconds, and what is left
		wantErr(t, err, context.DeadlineExceeded)
		wantEqual(t, time.Since(start), 7*time.Second)
		wantEqual(t, s.Calls(), 2)
		cancel()
		_, err = client.Read(ctx)
		wantErr(t, err, context.DeadlineExceeded)
	})
}
