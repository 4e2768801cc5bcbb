package consul

import (
	"context"
	"errors"
	gosync "sync"
	"time"

	"github.com/hashicorp/consul/api"
	consulconn "github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/fault"
)

// session is a Consul session that one claim has at a time.
type session struct {
	d   *driver
	id  string
	ttl time.Duration

	mu   gosync.Mutex
	sent time.Time // of the last renewal that was confirmed
}

// maxIdle sessions of one TTL wait for another claim.
const maxIdle = 64

// session returns one with at least half of its life left.
func (d *driver) session(ctx context.Context, ttl time.Duration) (*session, error) {
	for {
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			return nil, fault.Closed
		}
		n := len(d.idle[ttl])
		if n == 0 {
			d.mu.Unlock()
			break
		}
		s := d.idle[ttl][n-1]
		d.idle[ttl] = d.idle[ttl][:n-1]
		d.mu.Unlock()
		if time.Since(s.sent) < ttl/2 {
			return s, nil
		}
		if _, err := s.renew(ctx); err == nil {
			return s, nil
		} else if !errors.Is(err, fault.Lost) {
			return nil, err
		}
	}
	s := &session{d: d, ttl: ttl, sent: time.Now()}
	id, _, err := d.conn.Session().CreateNoChecks(&api.SessionEntry{
		Name:      "sync",
		TTL:       ttl.String(),
		Behavior:  api.SessionBehaviorDelete,
		LockDelay: max(d.lockDelay, time.Millisecond), // 0 would be Consul's default
	}, write(ctx))
	if err != nil {
		return nil, consulconn.Read(err) // one that was made nevertheless ends by itself
	}
	s.id = id
	return s, nil
}

// keep gives back a session that nothing is attached to.
func (d *driver) keep(s *session) {
	d.mu.Lock()
	if !d.closed && len(d.idle[s.ttl]) < maxIdle {
		d.idle[s.ttl] = append(d.idle[s.ttl], s)
		s = nil
	}
	d.mu.Unlock()
	if s != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.destroy(ctx)
	}
}

func (s *session) renew(ctx context.Context) (until time.Time, err error) {
	sent := time.Now()
	entry, _, err := s.d.conn.Session().Renew(s.id, write(ctx))
	if err != nil {
		return time.Time{}, consulconn.Read(err)
	}
	if entry == nil {
		return time.Time{}, fault.Markf(fault.Lost, "the session was invalidated")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = sent
	return sent.Add(s.ttl), nil
}

func (s *session) until() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent.Add(s.ttl)
}

// age is the time since the last renewal.
func (s *session) age() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.sent)
}

func (s *session) destroy(ctx context.Context) error {
	_, err := s.d.conn.Session().Destroy(s.id, write(ctx))
	return consulconn.Write(err)
}

func write(ctx context.Context) *api.WriteOptions { return (&api.WriteOptions{}).WithContext(ctx) }
