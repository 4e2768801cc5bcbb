package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/mutex"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ordered is a member of a classic group: Kafka gives each partition to one
// member, which alone works on it until it leaves, dies, or another joins that is
// to have a share; then it gives the partition up when the handlers of its records
// have returned. kgo keeps the membership; reading is done here, as read.go does it,
// since what is held and not acknowledged outlasts many fetches. The parts:
//
//	membership.go  which partitions it has, and the handlers that run on their records
//	reading.go     what comes next in them
//	turn.go        what is handed out and acknowledged of one
//	commit.go      how Kafka is notified of that
//
// The member counts on its partitions by its own clock, for nine tenths of the
// session's timeout from before it sent the last commit that Kafka accepted.
type ordered struct {
	d       *driver
	group   *group
	client  *kgo.Client
	session time.Duration

	rebalance time.Duration // within which Kafka expects it to give partitions up

	commits mutex.Mutex // of commits: one at a time

	mu      sync.Mutex
	turns   map[int32]*turn // of the partitions that it has
	ended   map[int32]*turn // of those that it had, while handlers still run
	changed chan struct{}   // closed when they did
	until   time.Time       // when it counts on them no longer
	unsaid  bool            // the last commit of acknowledgements failed
	lost    bool            // something that it was working on is no longer its own; Fetch or Extend says so
	refused error           // why Kafka does not let it join; Fetch says so
	closed  bool
}

func (d *driver) joinOrdered(ctx context.Context, g event.GroupConfig, has *group) (event.Member, error) {
	session, err := d.sessionTimeout(ctx, g.AckWait)
	if err != nil {
		return nil, err
	}
	if err := d.mayJoin(ctx, has); err != nil {
		return nil, err
	}
	m := &ordered{d: d, group: has, session: session, rebalance: max(session, 10*time.Second), turns: map[int32]*turn{}, ended: map[int32]*turn{}, changed: make(chan struct{})}
	m.client, err = d.conn.More(
		kgo.ConsumerGroup(d.kafkaGroup(has)), kgo.ConsumeTopics(d.topic), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(session), kgo.HeartbeatInterval(max(session/4, 50*time.Millisecond)), kgo.RebalanceTimeout(m.rebalance),
		kgo.DisableAutoCommit(), kgo.MaxConcurrentFetches(0), // it reads nothing: nobody polls
		kgo.OnPartitionsAssigned(m.assigned), kgo.OnPartitionsRevoked(m.revoked), kgo.OnPartitionsLost(m.taken),
		kgo.WithHooks(m),
	)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (m *ordered) Fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m.takeLost() {
			return nil, fault.Lost
		}
		if err := m.takeRefused(); err != nil {
			return nil, err
		}
		if err := m.d.deleted(ctx, m.group); err != nil {
			return nil, err
		}
		if err := m.begin(ctx); err != nil {
			return nil, err
		}
		ds, first, err := m.next(ctx, limit)
		if first && err == nil {
			_ = m.commit(ctx) // counted before it is tried: it may end the process
		}
		if err != nil || len(ds) > 0 {
			return ds, err
		}
		if err := m.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// begin finds out where the turns that are new begin, and sees that the member
// still has its partitions.
func (m *ordered) begin(ctx context.Context) error {
	m.mu.Lock()
	fresh, renew := false, len(m.turns) > 0 && time.Until(m.until) < m.session*6/10
	for _, t := range m.turns {
		fresh = fresh || t.awaits()
	}
	m.mu.Unlock()
	if fresh {
		committed, err := m.d.committed(ctx, m.group)
		if err != nil {
			return err
		}
		m.mu.Lock()
		for p, t := range m.turns {
			if !t.awaits() {
				continue
			}
			t.former = nil
			if o, ok := committed.Lookup(m.d.topic, p); ok && o.Err == nil && o.At >= 0 {
				t.begin(o.At, o.Metadata)
			} else {
				t.begin(m.group.Start.at(int(p)), "")
			}
		}
		m.mu.Unlock()
	}
	if fresh || renew {
		return m.commit(ctx)
	}
	return nil
}

// wait returns when there may be something to do.
func (m *ordered) wait(ctx context.Context) error {
	m.mu.Lock()
	changed, lost := m.changed, m.lost || m.refused != nil
	next := make(map[int32]int64, len(m.turns))
	for p, t := range m.turns {
		if t.leaving || !t.begun && !t.awaits() { // it ends, or begins when others have returned
			continue
		}
		if !t.begun || len(t.records) > 0 {
			lost = true // go round
		}
		next[p] = t.next
	}
	left := time.Until(m.until) - m.session/2
	m.mu.Unlock()
	if lost {
		return nil
	}
	if len(next) == 0 { // another one's turn
		timer := time.NewTimer(lookAgain)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		return nil
	}
	return m.d.tail.wait(ctx, min(max(left, 10*time.Millisecond), lookAgain), changed, func(ends vector) bool {
		for p, n := range next {
			if ends.at(int(p)) != n {
				return true
			}
		}
		return false
	})
}

func (m *ordered) Ack(ctx context.Context, ds []event.Delivered) error {
	m.mu.Lock()
	moved := m.unsaid
	m.unsaid = false
	for _, d := range ds {
		tag := d.Tag.(handed)
		if m.turns[tag.turn.p] == tag.turn && tag.turn.ack(tag.offset) {
			moved = true
		}
	}
	m.mu.Unlock()
	if !moved {
		return nil
	}
	err := m.commit(ctx)
	m.mu.Lock()
	m.unsaid = m.unsaid || err != nil
	m.mu.Unlock()
	return err
}

// Extend shows life. Something that was lost is said once.
func (m *ordered) Extend(ctx context.Context, _ []event.Delivered) error {
	err := m.commit(ctx)
	if m.takeLost() {
		return fault.Lost
	}
	return err
}

// Release gives nothing back by itself: Close, which follows, does.
func (m *ordered) Release(_ context.Context, ds []event.Delivered) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range ds {
		d.Tag.(handed).turn.release(d.Tag.(handed).offset)
	}
	return nil
}

func (m *ordered) Lag(ctx context.Context) (event.Lag, error) {
	n, err := m.d.lag(ctx, m.group)
	m.mu.Lock()
	defer m.mu.Unlock()
	held := int64(0)
	for _, t := range m.turns {
		held += int64(len(t.handed)) - int64(len(t.acked))
	}
	return event.Lag{Pending: held, Behind: max(n-held, 0)}, err
}

// Close says where the turns ended, and leaves the group.
func (m *ordered) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	err := m.commit(ctx)
	if errors.Is(err, fault.Unavailable) {
		err = nil // at least once
	}
	if e := m.client.LeaveGroupContext(ctx); e != nil && !errors.Is(e, kerr.UnknownMemberID) && !errors.Is(e, kerr.GroupIDNotFound) {
		err = fault.Join(err, kafka.WriteError(e))
	}
	m.client.Close()
	m.d.left(ctx, m.group)
	return err
}
