package collect

import (
	"context"
	"errors"
	"testing"
)

// A read that is given up, as nobody waits for it, is none for who comes at that
// moment: it is made anew.
func TestWhoComesAsAReadIsGivenUpHasAnother(t *testing.T) {
	c := &Collector{ctx: t.Context()}
	left, looked, mayEnd := make(chan struct{}), make(chan struct{}), make(chan struct{})
	reads := 0
	s := shared[string, int]{read: func(_ string, wanted func() bool) (int, error) {
		if reads++; reads > 1 {
			return reads, nil
		}
		<-left
		if wanted() {
			t.Error("somebody waits, and everybody left")
		}
		close(looked)
		<-mayEnd
		return 0, errNobody
	}}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := s.get(gone, c, ""); !errors.Is(err, ErrNoAnswerYet) {
		t.Errorf("the first one: %v, want %v", err, ErrNoAnswerYet)
	}
	close(left)
	<-looked
	second := make(chan int)
	go func() {
		n, err := s.get(t.Context(), c, "")
		if err != nil {
			t.Error(err)
		}
		second <- n
	}()
	poll(t, "the second one waits", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.current[""].waiting == 1
	})
	close(mayEnd)
	if n := <-second; n != 2 {
		t.Errorf("read %d answers the second one, want 2", n)
	}
	s.close()
	c.reads.Wait()
}
