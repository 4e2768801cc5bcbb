package auth

import (
	"context"
	"sync"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// maxUntold bounds the revocations that wait for a feed that is unavailable.
const maxUntold = 10_000

// untold are the revocations that the feed did not take. They are published
// again, oldest first, until it takes them or their tokens have expired.
type untold struct {
	mu      sync.Mutex
	list    []Revocation
	telling bool // a goroutine is at it
}

// tellLater reports whether there was room for r.
func (f *front) tellLater(r Revocation) bool {
	u := &f.untold
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.list) >= maxUntold {
		return false
	}
	u.list = append(u.list, r)
	if !u.telling {
		u.telling = f.life.Go(f.tellUntold)
	}
	return u.telling
}

// tellUntold runs until nothing is left to tell or the front is closed.
func (f *front) tellUntold(ctx context.Context) {
	for failures := 0; ; {
		if backoff.Sleep(ctx, retries.Wait(failures)) != nil {
			return
		}
		r, ok := f.nextUntold()
		if !ok {
			return
		}
		asked, cancel := context.WithTimeout(ctx, f.timeout)
		err := fault.Guard(func() error { return f.feed.Publish(asked, r) })
		cancel()
		if err != nil {
			failures++
			f.log.Warn("auth: revocation not published, tried again", "token", r.ID, "error", err)
			continue
		}
		failures = 0
		f.told()
	}
}

// nextUntold returns the oldest revocation whose token may still be accepted
// somewhere, and leaves it in the list.
func (f *front) nextUntold() (Revocation, bool) {
	u := &f.untold
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.list) > 0 && !u.list[0].Expires.IsZero() && f.now().After(u.list[0].Expires.Add(MaxLeeway)) {
		u.list = u.list[1:]
	}
	if len(u.list) == 0 {
		u.list, u.telling = nil, false
		return Revocation{}, false
	}
	return u.list[0], true
}

func (f *front) told() {
	f.untold.mu.Lock()
	defer f.untold.mu.Unlock()
	if len(f.untold.list) > 0 {
		f.untold.list = f.untold.list[1:]
	}
}
