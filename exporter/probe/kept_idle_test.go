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
