package remediator

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A reload replaces the keepers; an object that is to be put back just then is put
// back by the new one, and doesn't wait for one that has ended.
func TestAnObjectIsPutBackRightAfterAReload(t *testing.T) {
	inWorldWith(t, whole, nil, func(w *world) {
		d := &restorable{device: w.device}
		for _, name := range []string{"s1", "s2", "s3", "s4", "s5"} {
			d.after = append(d.after, edge.State{Member: edge.Member{Name: name}, Serving: true})
		}
		devices := map[string]Device{"edge1": d}
		w.again(func(o *Options) { o.Devices = devices }, nil)
		for i := range 4 {
			next := *w.cfg
			if err := w.r.Apply(Options{Config: &next, ConfigHash: fmt.Sprint(i), Devices: devices, Checks: []Check{w.probe}}); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			out, err := w.r.Restore(w.t.Context(), s1.In(), []byte("object"), "test", "as the test says")
			if err != nil || out.Result != "applied" {
				t.Fatalf("got %+v, %v", out, err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("order %d took %s", i, took)
			}
		}
		w.device.change(func() { w.device.hang = time.Hour })
		start := time.Now()
		if out, err := w.r.Restore(w.t.Context(), s1.In(), []byte("object"), "test", "x"); err == nil {
			t.Errorf("a device that hangs: %+v", out)
		}
		if _, err := w.r.Restore(w.t.Context(), edge.Pool{Device: "x", Name: "shop"}, nil, "test", "x"); !errors.Is(err, ErrNoDevice) {
			t.Errorf("no such device: %v", err)
		}
		if took := time.Since(start); took > orderWait+lookTimeout {
			t.Errorf("it took %s", took)
		}
	})
}
