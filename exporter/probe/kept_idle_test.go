package probe

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnUnusedConnectionIsNotKeptForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(kept)
		at := place{address: "192.0.2.1:80"}
		here, there := net.Pipe()
		l := &line{conn: here, tcp: here}
		k.put(at, l)
		time.Sleep(keptFor - time.Second)
		if k.take(at) != l {
			t.Fatal("it isn't there before its time")
		}
		k.put(at, l)
		time.Sleep(keptFor - time.Second)
		if got := len(k.lines); got != 1 {
			t.Errorf("%d are kept: the second time is not as long as the first", got)
		}
		time.Sleep(2 * time.Second)
		if got := k.take(at); got != nil {
			t.Error("it is there after its time")
		}
		if _, err := there.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("it is open: %v", err)
		}
	})
}

func TestKeptConnectionsAreBounded(t *testing.T) {
	before := mostKept
	mostKept = 2 * maxKept // whatever the machine allows
	defer func() { mostKept = before }()
	k := new(kept)
	defer k.Close()
	for i := range maxKept + 10 {
		here, _ := net.Pipe()
		k.put(place{address: fmt.Sprint(i)}, &line{conn: here, tcp: here})
	}
	if got := len(k.lines); got != maxKept {
		t.Errorf("%d are kept, want %d", got, maxKept)
	}
}

// Who keeps connections leaves files for the others, however many modules do.
func TestKeptConnectionsLeaveFilesForTheOthers(t *testing.T) {
	before := mostKept
	mostKept = keptNow.Load() + 10
	defer func() { mostKept = before }()
	a, b := new(kept), new(kept)
	keep := func(k *kept, from, to int) {
		for i := from; i < to; i++ {
			here, _ := net.Pipe()
			k.put(place{address: fmt.Sprint(i)}, &line{conn: here, tcp: here})
		}
	}
	keep(a, 0, 8)
	keep(b, 0, 8)
	if len(a.lines) != 8 || len(b.lines) != 2 {
		t.Errorf("%d and %d are kept, want 8 and 2", len(a.lines), len(b.lines))
	}
	for i := range 4 {
		if l := a.take(place{address: fmt.Sprint(i)}); l == nil {
			t.Errorf("%d isn't there", i)
		} else {
			l.close()
		}
	}
	a.Close()
	keep(b, 2, 30)
	if len(b.lines) != 10 {
		t.Errorf("%d are kept when the others have gone, want 10", len(b.lines))
	}
	b.Close()
	if got := mostKept - keptNow.Load(); got != 10 {
		t.Errorf("there is room for %d, want 10", got)
	}
}

// Probes of one target at once come back with a connection each: what isn't kept is closed.
func TestASecondConnectionToAPlaceIsClosed(t *testing.T) {
	k, at := new(kept), place{address: "192.0.2.1:80"}
	defer k.Close()
	first, _ := net.Pipe()
	second, there := net.Pipe()
	k.put(at, &line{conn: first, tcp: first})
	k.put(at, &line{conn: second, tcp: second})
	if l := k.take(at); l == nil || l.conn != first {
		t.Errorf("it has %+v, want the first one", l)
	}
	if _, err := there.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the second one is open: %v", err)
	}
}
