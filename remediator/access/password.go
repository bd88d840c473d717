package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// ErrBusy says that too many passwords wait to be checked.
var ErrBusy = errors.New("too many log-ins at once: try again")

const (
	mostWaiting  = 64   // log-ins that wait for a processor
	mostVerified = 1000 // passwords that were right; more users have theirs checked anew now and then
)

// passwords checks passwords against their bcrypt hashes, which is slow on purpose:
// few at a time, each that was right once only, and the same one sent by many
// requests at once only for the first of them.
type passwords struct {
	key   []byte        // of this process: what it remembers is worth nothing elsewhere
	slots chan struct{} // one for each that is being checked

	mu       sync.Mutex
	waiting  int
	verified map[sum]bool
	flights  map[sum]*flight
}

// A flight is one check under way. What it found may be read once done is closed.
type flight struct {
	done  chan struct{}
	ok    bool
	err   error
	again bool // whoever checked went away first
}

func newPasswords() *passwords {
	p := &passwords{
		key: make([]byte, sha256.Size), slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		verified: map[sum]bool{}, flights: map[sum]*flight{},
	}
	rand.Read(p.key) // never fails, since Go 1.24
	return p
}

// sum stands for texts, some of them secret.
func (p *passwords) sum(parts ...string) (out sum) {
	m := hmac.New(sha256.New, p.key)
	for _, s := range parts {
		_, _ = io.WriteString(m, strconv.Itoa(len(s))+":"+s) // a hash takes everything
	}
	m.Sum(out[:0])
	return out
}

// check says whether the password is right. admit is asked before the work is
// done, once for all that send the same from one address at once, and its error
// returned to all of them.
func (p *passwords) check(ctx context.Context, from, name, hash, password string, admit func() error) (bool, error) {
	// With another hash in the configuration what was remembered counts no more.
	id := p.sum(name, hash, password)
	flying := p.sum(from, name, hash, password)
	for {
		p.mu.Lock()
		if p.verified[id] {
			p.mu.Unlock()
			return true, nil
		}
		f, ok := p.flights[flying]
		if !ok {
			f = &flight{done: make(chan struct{})}
			p.flights[flying] = f
			p.mu.Unlock()
			func() {
				defer p.land(f, id, flying)
				p.lead(ctx, f, id, hash, password, admit)
			}()
			return f.ok, f.err
		}
		p.mu.Unlock()
		select {
		case <-f.done:
			if !f.again {
				return f.ok, f.err
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

func (p *passwords) lead(ctx context.Context, f *flight, id sum, hash, password string, admit func() error) {
	if f.err = p.enter(ctx); f.err != nil {
		f.again = ctx.Err() != nil
		return
	}
	defer func() { <-p.slots }()
	p.mu.Lock()
	f.ok = p.verified[id] // while we waited
	p.mu.Unlock()
	if f.ok {
		return
	}
	if f.err = admit(); f.err == nil {
		f.ok = matches(hash, password)
	}
}

func (p *passwords) land(f *flight, id, flying sum) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.ok {
		if len(p.verified) >= mostVerified {
			clear(p.verified)
		}
		p.verified[id] = true
	}
	delete(p.flights, flying)
	close(f.done)
}

// enter waits for a free processor.
func (p *passwords) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	p.mu.Lock()
	if p.waiting >= mostWaiting {
		p.mu.Unlock()
		return ErrBusy
	}
	p.waiting++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waiting--
	}()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// matches is false for a password that bcrypt would look at only the beginning of.
func matches(hash, password string) bool {
	return len(password) <= mostPassword && bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}
