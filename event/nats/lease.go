package nats

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	"github.com/nats-io/nats.go/jetstream"
)

// lease is an entry of the bucket that its holder rewrites all the time.
// Who has seen it unchanged for AckWait, by a clock of his own, may take it; the
// holder counts on it for nine tenths of AckWait from before its last write.
type lease struct {
	mu       sync.Mutex
	held     bool
	revision uint64    // of the holder's last write
	until    time.Time // for the holder
	tried    bool      // it was written, and what came of it is not known

	seen   uint64    // revision that another was seen to have written
	seenAt time.Time // first
}

func (l *lease) holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held && !time.Now().Before(l.until) {
		l.held = false // the turn is over, even if nobody has taken the next
	}
	return l.held
}

// drop ends the turn. The next one begins with what this one had.
func (l *lease) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = false
}

// answerWithin is how long the server has for an answer that must be known.
const answerWithin = 3 * time.Second

// turn returns how long to wait before asking again whether it is this
// member's turn, or 0 if it is. A turn that was lost is fault.Lost, once.
func (m *member) turn(ctx context.Context) (time.Duration, error) {
	l := &m.lease
	l.mu.Lock()
	held, left := l.held, time.Until(l.until)
	l.mu.Unlock()
	if held {
		if left > m.g.AckWait/2 {
			return 0, nil
		}
		return 0, l.renew(ctx, m)
	}
	wait := min(max(m.g.AckWait/20, 20*time.Millisecond), 500*time.Millisecond)
	// The answer is waited for, also by a member that is closed meanwhile: what it
	// sends then to release the lease could overtake the request for it.
	sure, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	trying := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tried = true
	}
	key, sent := "l."+m.key, time.Now()
	e, err := entryOf(ctx, m.kv, key)
	var revision uint64
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		trying()
		revision, err = m.kv.Create(sure, key, []byte(m.g.Consumer))
	case err != nil:
		return 0, nats.ReadError(err)
	case len(e.Value()) > 0 && string(e.Value()) != m.g.Consumer:
		l.mu.Lock()
		if e.Revision() != l.seen {
			l.seen, l.seenAt = e.Revision(), time.Now()
		}
		dead := time.Since(l.seenAt) > m.g.AckWait
		l.mu.Unlock()
		if !dead {
			return wait, nil
		}
		fallthrough
	default: // given up, dead, or this member's from before
		trying()
		revision, err = m.kv.Update(sure, key, []byte(m.g.Consumer), e.Revision())
	}
	if nats.Conflict(err) { // another was faster
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tried = false
		return wait, nil
	}
	if err != nil {
		return 0, nats.WriteError(err)
	}
	err = m.restart(ctx)
	if errors.Is(err, fault.NotFound) { // the group was deleted: nobody else would remove the entry
		_ = m.kv.Delete(sure, key, jetstream.LastRevision(revision))
	}
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held, l.tried, l.revision, l.until = true, false, revision, sent.Add(m.g.AckWait*9/10)
	return 0, nil
}

// restart makes the group's consumer again, so that everything which is not
// acknowledged comes again, in order. Where to begin is noted first: if this
// process ends in between, the next one makes the consumer from the note.
func (m *member) restart(ctx context.Context) error {
	s, err := m.d.stream(ctx)
	if err != nil {
		return err
	}
	has, err := m.config(ctx)
	if err != nil {
		return err
	}
	c, err := consumerOf(ctx, s, m.key)
	switch {
	case err == nil:
		i := c.CachedInfo()
		// In a cluster the consumer's server may not know yet that the member before is
		// gone, and would send it a record for which it had asked.
		fresh := i.Delivered.Consumer == 0 && i.NumWaiting == 0
		if i.NumAckPending == 0 && (fresh || !nats.Clustered(s)) { // nobody had anything
			m.consumer = c
			m.count()
			return nil
		}
		has.After = max(has.After, i.AckFloor.Stream)
		if err := m.note(ctx, &has); err != nil {
			return err
		}
		if err := s.DeleteConsumer(ctx, m.key); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nats.WriteError(err)
		}
	case !errors.Is(m.d.lost(err), jetstream.ErrConsumerNotFound):
		return nats.ReadError(err)
	}
	c, err = m.create(ctx, s, has)
	if err != nil {
		return err
	}
	m.consumer = c
	m.count()
	return nil
}

// What is lost on the way comes again after AckWait, when others would be handled before
// it. So an exclusive member counts what its consumer has sent.

// count begins with what the consumer had sent when it was looked at.
func (m *member) count() {
	i := m.consumer.CachedInfo()
	m.made, m.sent = i.Created, i.Delivered.Consumer
}

// skips reports whether a message is not the next one that the consumer has sent.
func (m *member) skips(md *jetstream.MsgMetadata) bool {
	if !m.g.Exclusive {
		return false
	}
	if !m.made.Equal(m.consumer.CachedInfo().Created) {
		m.count() // somebody has deleted the one before
	}
	m.sent++
	return md.Sequence.Consumer != m.sent
}

// misses reports whether the consumer had sent more when it was looked at than has come.
func (m *member) misses() bool {
	i := m.consumer.CachedInfo()
	return m.g.Exclusive && m.made.Equal(i.Created) && i.Delivered.Consumer > m.sent
}

func (l *lease) renew(ctx context.Context, m *member) error {
	l.mu.Lock()
	held, tried, revision := l.held, l.tried, l.revision
	l.mu.Unlock()
	if !held {
		return nil
	}
	key, sent := "l."+m.key, time.Now()
	next, err := m.kv.Update(ctx, key, []byte(m.g.Consumer), revision)
	if nats.Conflict(err) && tried { // by this member's own write, perhaps, whose answer was lost
		e, unread := entryOf(ctx, m.kv, key)
		switch {
		case unread == nil && string(e.Value()) == m.g.Consumer:
			revision = l.found(revision, e.Revision())
			next, err = m.kv.Update(ctx, key, []byte(m.g.Consumer), revision)
		case unread != nil && !errors.Is(unread, jetstream.ErrKeyNotFound):
			return nats.ReadError(unread)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case nats.Conflict(err):
		if l.revision != revision {
			return nil // the other of Fetch and Extend was faster
		}
		if l.held {
			l.held = false
			return fault.Lost
		}
		return nil
	case err != nil:
		l.tried = true
		return nats.WriteError(err)
	}
	l.tried, l.revision, l.until = false, next, sent.Add(m.g.AckWait*9/10)
	return nil
}

// found says that what the holder wrote last has a later revision than it knew, unless
// the other of Fetch and Extend has written since. It returns the last revision.
func (l *lease) found(known, revision uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revision == known {
		l.revision = revision
	}
	return l.revision
}

// release lets the next one take over at once, also if this member may have it
// without knowing, since the answer was lost.
func (l *lease) release(ctx context.Context, m *member) error {
	l.mu.Lock()
	held, tried, revision := l.held, l.tried, l.revision
	l.held = false
	l.mu.Unlock()
	key := "l." + m.key
	if !held {
		if !tried {
			return nil
		}
		e, err := entryOf(ctx, m.kv, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) || err == nil && string(e.Value()) != m.g.Consumer {
			return nil
		}
		if err != nil {
			return nats.ReadError(err)
		}
		revision = e.Revision()
	}
	_, err := m.kv.Update(ctx, key, nil, revision)
	if nats.Conflict(err) {
		return nil
	}
	return nats.WriteError(err)
}
